//! Errors as answers of axum, so that `?` on a session's call compiles in each of its handlers.
//!
//! It is here and not in the adapter because only the crate that defines the error may say so.

use axum_core::response::{IntoResponse, Response};

use crate::Error;

impl IntoResponse for Error {
    /// As [`Error::to_response`].
    fn into_response(self) -> Response {
        self.to_response()
    }
}
