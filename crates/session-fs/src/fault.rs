use std::{error, fmt, io, path::PathBuf};

use rustix::io::Errno;
use session_core::{BoxError, Error};

/// The result of work on files.
pub(crate) type Result<T, E = Fault> = std::result::Result<T, E>;

/// Why something could not be done with the files.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The operating system refused.
    Io(io::Error),
    /// The directory is not safe to use: what it must be, or must not.
    Directory { path: PathBuf, reason: String },
    /// Somebody else held the lock for longer than a write waits.
    Locked,
    /// The file does not begin as this store's files do, or is no regular file.
    Foreign,
    /// A later version of this library wrote the file.
    Later,
    /// This store made the file, but it was cut short or changed.
    Damaged,
    /// The work on a thread that may block did not come to its end.
    Stopped(BoxError),
}

impl Fault {
    /// Whether the operating system refused for this reason.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        matches!(self, Self::Io(error) if error.raw_os_error() == Some(errno.raw_os_error()))
    }

    pub(crate) fn is_no_space(&self) -> bool {
        self.is(Errno::NOSPC) || self.is(Errno::DQUOT)
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Foreign | Self::Later | Self::Damaged)
    }

    /// Nothing, for whom what cannot be read is as good as nothing.
    pub(crate) fn unless_unreadable<T>(self) -> Result<Option<T>, Self> {
        if self.is_unreadable() {
            Ok(None)
        } else {
            Err(self)
        }
    }
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

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        if fault.is_unreadable() {
            Self::corrupt(fault)
        } else {
            Self::backend("files", fault)
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the operating system refused"),
            Self::Directory { path, reason } => write!(f, "{} {reason}", path.display()),
            Self::Locked => f.write_str("another process held the lock for too long"),
            Self::Foreign => {
                f.write_str("the file under the record's name was not made by this store")
            }
            Self::Later => f.write_str("the file was written by a later version of this library"),
            Self::Damaged => f.write_str("the file is cut short or changed"),
            Self::Stopped(_) => f.write_str("the runtime is shutting down"),
        }
    }
}

impl error::Error for Fault {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::Stopped(source) => Some(source.as_ref()),
            _ => None,
        }
    }
}
