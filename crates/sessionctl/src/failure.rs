//! How a command ends.

use std::{error::Error as _, fmt, io};

use session_stores::session_core::{self, Error, config::ConfigError};

use crate::output::shown;

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    Done,
    /// Some records could not be read or copied, or `doctor` found problems.
    Incomplete,
}

/// Why a command could not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage or settings, and what to do.
    Usage(String),
    /// The directory or the file of the store is not there.
    NothingThere(String),
    /// There is no live session of that name, and why that may be.
    NoSession(String),
    Store(session_core::Error),
    Io(io::Error),
    /// Whoever read the output has gone.
    NobodyReads,
}

impl Failure {
    /// The exit status.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::NobodyReads => 0,
            // It is the wrong command for this store.
            Self::Usage(_)
            | Self::NothingThere(_)
            | Self::Store(Error::NoScan | Error::NoOwnerIndex | Error::Unsuitable { .. }) => 2,
            Self::Store(_) | Self::Io(_) => 1,
            Self::NoSession(_) => 4,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::NoSession(text) => f.write_str(&shown(text)),
            Self::NothingThere(text) => write!(
                f,
                "{}: correct the URL or the SESSION_* settings, or let the application create it",
                shown(text)
            ),
            Self::NobodyReads => f.write_str("nobody reads the output"),
            Self::Store(error) => f.write_str(&described(error)),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

/// An error and its causes, in one line.
pub(crate) fn described(error: &session_core::Error) -> String {
    // The error speaks of a request, and there is none here.
    if let Error::Timeout { budget } = error {
        return format!("the session store gave no answer within {budget:?}");
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        // An error may say already what its cause says.
        if !text.ends_with(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    // A server chose a part of it.
    shown(&text)
}

impl From<session_core::Error> for Failure {
    fn from(error: session_core::Error) -> Self {
        Self::Store(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
