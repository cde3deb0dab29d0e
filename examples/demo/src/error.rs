use std::fmt;

use actix_server_sessions::session_core::{Error, Saved};
use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::json;

/// An error of one of the demo's routes.
#[derive(Debug)]
pub(crate) enum ApiError {
    Session(Error),
    /// What the caller did wrong, with its status.
    Refused(StatusCode, &'static str),
}

impl ApiError {
    pub(crate) fn refused(status: StatusCode, why: &'static str) -> Self {
        Self::Refused(status, why)
    }

    /// The answer to a change that must be final before it is answered.
    pub(crate) fn unless_kept(saved: Saved) -> Result<(), Self> {
        match saved {
            Saved::Ended => Err(Self::Session(Error::Conflict)),
            Saved::Stored | Saved::Unchanged => Ok(()),
        }
    }

    /// What whoever asked can do about it; `None` if the status says all.
    pub(crate) fn message(&self) -> Option<&'static str> {
        match self {
            Self::Refused(_, why) => Some(why),
            Self::Session(error) => match error {
                Error::NoOwnerIndex => Some("this store cannot list a user's sessions"),
                Error::Decode { .. } => Some("the value under this key is of another type"),
                Error::ReservedKey => Some("this key is reserved"),
                Error::OwnerTooLong { .. } => Some("the user's name is too long"),
                _ => None,
            },
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
            Self::Refused(status, _) => *status,
            Self::Session(Error::Decode { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Session(Error::NoOwnerIndex) => StatusCode::NOT_IMPLEMENTED,
            Self::Session(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match (self.message(), self) {
            (Some(message), _) => {
                HttpResponse::build(self.status_code()).json(json!({ "error": message }))
            }
            (None, Self::Session(error)) => error.error_response(),
            (None, Self::Refused(status, _)) => HttpResponse::new(*status),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => fmt::Display::fmt(error, f),
            Self::Refused(_, why) => f.write_str(why),
        }
    }
}
