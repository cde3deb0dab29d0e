//! `CallError`, which says why a file operation failed.

use std::{
    error, fmt, io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use session_core::{BoxError, Error};

/// The result of a file operation.
pub(crate) type Result<T, E = CallError> = std::result::Result<T, E>;

/// Why a file operation failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The operating system returned an error.
    Io(io::Error),
    /// The directory is not safe to use. The reason says what it must be.
    UnsafeDirectory { path: PathBuf, reason: String },
    /// Any of the others, at this path.
    At { path: PathBuf, error: Box<Self> },
    /// Another writer held the lock for longer than the lock timeout.
    LockTimeout,
    /// The writes of this process before this one took longer than the lock timeout.
    QueueTimeout,
    /// The file is not a regular file, or does not start as the files of this store do.
    ForeignFile,
    /// A later version of this library wrote the file.
    LaterVersion,
    /// This store wrote the file, but it was truncated or changed.
    Damaged,
    /// The operation on a blocking thread did not run to its end.
    Cancelled(BoxError),
}

impl CallError {
    /// Adds the path that the message names, unless it names one already.
    pub(crate) fn at(self, path: &Path) -> Self {
        match self {
            Self::At { .. } | Self::UnsafeDirectory { .. } => self,
            other => Self::At {
                path: path.to_owned(),
                error: other.into(),
            },
        }
    }

    /// Whether the operating system returned `errno`.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        match self {
            Self::Io(error) => error.raw_os_error() == Some(errno.raw_os_error()),
            Self::At { error, .. } => error.is(errno),
            _ => false,
        }
    }

    pub(crate) fn is_no_space(&self) -> bool {
        self.is(Errno::NOSPC) || self.is(Errno::DQUOT)
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        match self {
            Self::ForeignFile | Self::LaterVersion | Self::Damaged => true,
            Self::At { error, .. } => error.is_unreadable(),
            _ => false,
        }
    }

    /// `None` for an unreadable file, for callers that treat it as absent.
    pub(crate) fn or_absent<T>(self) -> Result<Option<T>, Self> {
        if self.is_unreadable() {
            Ok(None)
        } else {
            Err(self)
        }
    }
}

impl From<Errno> for CallError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        if error.is_unreadable() {
            Self::corrupt(error)
        } else {
            Self::backend("files", error)
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io(_) => "the operating system returned an error",
            Self::UnsafeDirectory { path, reason } => {
                return write!(f, "{} {reason}", path.display());
            }
            Self::At { path, error } => return write!(f, "{}: {error}", path.display()),
            Self::LockTimeout => {
                "another process held the lock for a second: it is slow or stopped"
            }
            Self::QueueTimeout => {
                "the writes of this process before it took a second: the disk is slow, or another \
                 process holds the lock"
            }
            Self::ForeignFile => "another program wrote this file: move it away",
            Self::LaterVersion => {
                "a later version of this library wrote this file: update this program"
            }
            Self::Damaged => "this file is truncated or changed",
            Self::Cancelled(_) => "the operation was cancelled",
        })
    }
}

impl error::Error for CallError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::At { error, .. } => error.source(),
            Self::Cancelled(source) => Some(source.as_ref()),
            _ => None,
        }
    }
}
