use std::{error, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{HeaderValue, RETRY_AFTER},
    },
};
use session_core::Error;

/// An error of the session as an answer: a status and nothing of its cause, which goes to the log.
///
/// `?` in a handler turns every [`session_core::Error`] into it.
#[derive(Debug)]
pub struct SessionError(Cause);

#[derive(Debug)]
enum Cause {
    Core(Error),
    NoMiddleware,
}

impl SessionError {
    /// What went wrong; `None` if no middleware of this session wraps the route.
    pub fn cause(&self) -> Option<&Error> {
        match &self.0 {
            Cause::Core(error) => Some(error),
            Cause::NoMiddleware => None,
        }
    }

    pub(crate) fn no_middleware() -> Self {
        Self(Cause::NoMiddleware)
    }
}

impl From<Error> for SessionError {
    fn from(error: Error) -> Self {
        Self(Cause::Core(error))
    }
}

impl ResponseError for SessionError {
    fn status_code(&self) -> StatusCode {
        match &self.0 {
            Cause::NoMiddleware => StatusCode::INTERNAL_SERVER_ERROR,
            Cause::Core(error) => match error {
                Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                Error::Conflict => StatusCode::CONFLICT,
                Error::NoOwnerIndex => StatusCode::NOT_IMPLEMENTED,
                Error::ReservedKey => StatusCode::BAD_REQUEST,
                Error::HeadSent | Error::Encode { .. } | Error::Decode { .. } => {
                    StatusCode::INTERNAL_SERVER_ERROR
                }
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        tracing::warn!(
            status = status.as_u16(),
            error = self as &dyn error::Error,
            "a session failed its request"
        );
        let mut response =
            HttpResponse::build(status).body(status.canonical_reason().unwrap_or_default());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Core(error) => fmt::Display::fmt(error, f),
            Cause::NoMiddleware => {
                f.write_str("no SessionMiddleware of this session wraps the route")
            }
        }
    }
}

impl error::Error for SessionError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.cause().and_then(error::Error::source)
    }
}
