use std::{error, fmt, io, time::Duration};

use rustix::io::Errno;
use session_core::{BoxError, Error};

use crate::{refusal::Refusal, unreadable::Unreadable};

/// Why something could not be done with the files.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The operating system refused.
    Io(io::Error),
    /// The directory is not safe to use.
    Directory(Refusal),
    /// Somebody else held the lock for this long.
    Locked(Duration),
    /// What is under the record's name is not one of this store's records.
    Unreadable(Unreadable),
    /// The blocking task did not finish: the runtime is shutting down.
    Stopped(BoxError),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Directory(refusal)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreadable(reason) => Self::corrupt(reason),
            other => Self::backend("files", other),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the operating system refused"),
            Self::Directory(_) => f.write_str("the directory cannot be used"),
            Self::Locked(waited) => write!(f, "another process held the lock for {waited:?}"),
            Self::Unreadable(_) => f.write_str("the file is not a record"),
            Self::Stopped(_) => f.write_str("the runtime is shutting down"),
        }
    }
}

impl error::Error for Fault {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::Directory(source) => Some(source),
            Self::Unreadable(source) => Some(source),
            Self::Stopped(source) => Some(source.as_ref()),
            Self::Locked(_) => None,
        }
    }
}
