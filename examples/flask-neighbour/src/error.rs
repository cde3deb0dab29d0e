//! Errors of a route, answered as JSON.

use std::fmt;

use actix_server_sessions::{
    SessionError,
    session_core::{Error, Saved},
};
use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::json;

/// An error of a route, answered as JSON.
#[derive(Debug)]
pub(crate) enum ApiError {
    BadRequest,
    Session(SessionError),
}

impl ApiError {
    /// The answer to a change that must be final before it is answered.
    pub(crate) fn unless_kept(saved: Saved) -> Result<(), Self> {
        match saved {
            Saved::Ended => Err(Error::Conflict.into()),
            Saved::Stored | Saved::Unchanged => Ok(()),
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Session(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        if let Self::Session(error) = self {
            tracing::warn!(status = status.as_u16(), %error, "a route failed");
        }
        HttpResponse::build(status).json(json!({ "error": status.canonical_reason() }))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest => f.write_str("the request cannot be understood"),
            Self::Session(error) => fmt::Display::fmt(error, f),
        }
    }
}
