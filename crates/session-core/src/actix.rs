//! Errors as answers of Actix Web, so that `?` on a session's call compiles in each of its
//! handlers.
//!
//! It is here and not in the adapter because only the crate that defines the error may say so.

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header::RETRY_AFTER},
};

use crate::Error;

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The status and its name, and nothing of the cause, which goes to the log.
    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        tracing::warn!(
            status = status.as_u16(),
            error = self as &dyn std::error::Error,
            "a session error ended the request"
        );
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, "1"));
        }
        response.body(status.canonical_reason().unwrap_or_default())
    }
}
