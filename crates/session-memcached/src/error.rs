//! Why a call to memcached failed.

use std::{error, fmt, io, sync::Arc};

use session_core::Error;

/// The reason for a failed call. Its texts show no key and no value, unlike the driver's errors.
#[derive(Clone, Debug)]
pub(crate) enum CallError {
    /// Memcached does not accept the key. Nothing was sent.
    InvalidKey,
    /// There is no Tokio runtime to open connections on.
    NoRuntime,
    /// The runtime was shut down.
    RuntimeClosed,
    /// The node cannot be reached, or could not a moment ago and was not tried again. Nothing was
    /// sent.
    Unreachable(Arc<io::Error>),
    /// The connection broke.
    Disconnected(Arc<io::Error>),
    /// The node did not answer in time.
    Timeout,
    /// The command was sent but not answered. It may or may not have been carried out.
    UnknownResult(Box<CallError>),
    /// The node answered with an error.
    Server(Arc<str>),
    /// The node runs without compare-and-swap.
    CasDisabled,
    /// The node's answer does not fit the command.
    Protocol,
    /// The node lists its keys for somebody else.
    Busy,
    /// The driver refused the command.
    Usage(&'static str),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidKey => "the key must be 1 to 250 graphic ASCII characters",
            Self::NoRuntime => "call the store within a Tokio runtime",
            Self::RuntimeClosed => "the Tokio runtime is shutting down",
            Self::Unreachable(_) => "the node cannot be reached",
            Self::Disconnected(_) => "the connection to the node broke",
            Self::Timeout => "the node did not answer in time",
            Self::UnknownResult(_) => "it is unknown whether the node carried out the command",
            Self::Server(text) => return write!(f, "the node answered with an error: {text}"),
            Self::CasDisabled => {
                "the node was started with -C, which turns compare-and-swap off: \
                 start it without -C"
            }
            Self::Protocol => "the node's answer does not fit the command",
            Self::Busy => "the node lists its keys for somebody else: try again",
            Self::Usage(text) => return write!(f, "the driver refused the command: {text}"),
        })
    }
}

impl error::Error for CallError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unreachable(source) | Self::Disconnected(source) => Some(source.as_ref()),
            Self::UnknownResult(source) => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::backend("memcached", error)
    }
}

/// The reason for a failed call to a node.
#[derive(Debug)]
pub(crate) struct NodeError {
    pub(crate) address: Box<str>,
    pub(crate) error: CallError,
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.error)
    }
}

impl error::Error for NodeError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.error.source()
    }
}

impl From<NodeError> for Error {
    fn from(error: NodeError) -> Self {
        Self::backend("memcached", error)
    }
}
