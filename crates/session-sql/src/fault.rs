use std::{error, fmt};

use session_core::{BoxError, Error};

use crate::dialect::Driver;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No connection could be had.
    Unreachable(Unreachable),
    /// What the database answered.
    Statement(sqlx::Error),
    /// The table or a key is none for the store, in words that say what to do about it.
    Unfit(String),
}

/// Where no connection could be had, and why.
#[derive(Debug)]
pub(crate) struct Unreachable {
    pub(crate) address: String,
    pub(crate) source: sqlx::Error,
}

impl Fault {
    pub(crate) fn error<D: Driver>(self) -> Error {
        let source: BoxError = match self {
            Self::Unreachable(it) => it.into(),
            Self::Statement(error) => error.into(),
            Self::Unfit(lack) => lack.into(),
        };
        Error::backend(D::URL_SCHEMES[0], source)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Statement(error)
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection to the database at {}", self.address)
    }
}

impl error::Error for Unreachable {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}
