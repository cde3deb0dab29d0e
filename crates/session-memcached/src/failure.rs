use std::{error, fmt, io, sync::Arc};

use session_core::Error;

/// Why memcached did not do what it was asked; never shows a key or a value, which the driver's own errors do.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The key is not one that memcached takes; nothing was sent.
    Key,
    /// There is no Tokio runtime to open connections on.
    NoRuntime,
    /// The runtime was shut down.
    Closed,
    /// The node could not be reached, now or a moment ago; nothing was sent.
    Unreachable(Option<Arc<io::Error>>),
    /// The connection failed.
    Lost(Arc<io::Error>),
    /// The node did not answer in time.
    Timeout,
    /// The command was sent and not answered: whether it was carried out is unknown.
    Unanswered(Box<Failure>),
    /// The node reported that it cannot.
    Server(Arc<str>),
    /// The node does not compare and swap.
    NoCas,
    /// The answer is not one to the command sent.
    Protocol,
    /// The driver refused the command.
    Usage(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "the key is not of 1 to 250 graphic ASCII characters",
            Self::NoRuntime => "the store was called outside a Tokio runtime",
            Self::Closed => "the runtime is shutting down",
            Self::Unreachable(_) => "the node cannot be reached",
            Self::Lost(_) => "the connection failed",
            Self::Timeout => "the node did not answer in time",
            Self::Unanswered(_) => "the outcome of the command is unknown",
            Self::Server(text) => return write!(f, "the node reported an error: {text}"),
            Self::NoCas => "the node was started with -C, which turns compare-and-swap off",
            Self::Protocol => "the node sent what is no answer to the command",
            Self::Usage(text) => return write!(f, "the driver refused the command: {text}"),
        })
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unreachable(Some(source)) | Self::Lost(source) => Some(source.as_ref()),
            Self::Unanswered(source) => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::backend("memcached", failure)
    }
}
