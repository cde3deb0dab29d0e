use std::{error, fmt};

use session_core::Error;

use crate::dialect::Driver;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No connection could be had.
    Unreachable {
        address: String,
        source: sqlx::Error,
    },
    /// What the database answered.
    Statement(sqlx::Error),
    /// The table or a key is none for the store, in words that say what to do about it.
    Unfit(String),
}

impl Fault {
    pub(crate) fn error<D: Driver>(self) -> Error {
        let store = D::URL_SCHEMES[0];
        match self {
            Self::Statement(error) => Error::backend(store, error),
            fault => Error::backend(store, fault),
        }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Statement(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { address, .. } => {
                write!(f, "no connection to the database at {address}")
            }
            Self::Statement(error) => error.fmt(f),
            Self::Unfit(lack) => f.write_str(lack),
        }
    }
}

impl error::Error for Fault {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } => Some(source),
            Self::Statement(error) => error.source(),
            Self::Unfit(_) => None,
        }
    }
}
