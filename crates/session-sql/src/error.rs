//! Why a call failed, and how the application is told.

use std::{error, fmt};

use session_core::{BoxError, Error};

use crate::{dialect::Driver, probe::Cause};

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The pool had no connection for the call.
    Unreachable(Unreachable),
    /// The database refused the statement, or the connection broke.
    Statement(sqlx::Error),
    /// The store cannot use the table, the key or the connection. The text says what to do about it.
    Unsuitable(String),
}

/// The database that no connection could be had to, and why.
#[derive(Debug)]
pub(crate) struct Unreachable {
    pub(crate) address: String,
    pub(crate) source: Cause,
}

impl CallError {
    pub(crate) fn into_error<D: Driver>(self) -> Error {
        let source: BoxError = match self {
            Self::Unreachable(Unreachable { address, source }) => {
                if let Some(remedy) = D::remedy(&source) {
                    let refusal = format!("{address} refuses to connect: {source}: {remedy}");
                    return Error::unsuitable(D::URL_SCHEMES[0], refusal);
                }
                let explanation = D::explanation(&source);
                let source = explanation.map_or(source, |it| configuration(it).into());
                Unreachable { address, source }.into()
            }
            Self::Statement(error) => {
                let explanation = D::explanation(&error);
                explanation.map_or(error, configuration).into()
            }
            Self::Unsuitable(message) => return Error::unsuitable(D::URL_SCHEMES[0], message),
        };
        Error::backend(D::URL_SCHEMES[0], source)
    }
}

fn configuration(explanation: &str) -> sqlx::Error {
    sqlx::Error::Configuration(explanation.into())
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection to the database at {}", self.address)
    }
}

impl error::Error for Unreachable {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.source)
    }
}
