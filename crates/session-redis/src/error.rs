//! What an error of the driver means for the connection and the command, and how it is reported.

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};

use crate::address::Address;

/// What an error says about the connection, and whether the command was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// The server refused the command. The connection works.
    Refused,
    /// Another node of the cluster has the key. The command was not carried out.
    Moved,
    /// The server became a read-only replica. The command was not carried out.
    ReadOnly,
    /// The node of the cluster is cut off from the others, or the cluster is down. The command was
    /// not carried out.
    ClusterDown,
    /// No answer in time. The command may have been carried out.
    Timeout,
    /// There was no connection to send the command on. It was not carried out.
    Unreachable,
    /// The connection broke. The command may have been carried out.
    Disconnected,
}

impl ErrorClass {
    pub(crate) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(
                ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain,
            ) => Self::Moved,
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            ErrorKind::Server(ServerErrorKind::ClusterDown) => Self::ClusterDown,
            ErrorKind::ClusterConnectionNotFound => Self::Unreachable,
            ErrorKind::Io if error.is_connection_refusal() => Self::Unreachable,
            ErrorKind::Io if error.is_timeout() => Self::Timeout,
            ErrorKind::Io | ErrorKind::Parse => Self::Disconnected,
            _ => Self::Refused,
        }
    }
}

/// Whether the server answered with the error code `code`, such as `WRONGTYPE`.
pub(crate) fn has_code<T>(answer: &RedisResult<T>, code: &str) -> bool {
    let error = answer.as_ref().err();
    error.is_some_and(|error| error.code() == Some(code))
}

/// Whether the server does not know a word of the command, which it has not carried out.
pub(crate) fn is_syntax_error<T>(answer: &RedisResult<T>) -> bool {
    let error = answer.as_ref().err().filter(|it| it.code() == Some("ERR"));
    error.is_some_and(|error| error.detail() == Some("syntax error"))
}

/// The address and the driver's error in one line.
///
/// Leaves out what the server quotes of the command, because keys and records are secret. Returns
/// text instead of an error with a source, because the driver's error repeats itself as its cause.
pub(crate) fn message(address: &Address, error: &RedisError) -> String {
    let text = error.to_string();
    let quoted = ", with args beginning with";
    let text = text.split(quoted).next().unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join("; ");
    format!("{address:?}: {line}")
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io};

    use redis::make_extension_error;
    use session_core::Error;

    use super::*;
    use crate::RedisStore;

    fn store_error(error: RedisError) -> Error {
        let store = RedisStore::connect("redis://ada:hunter2@host:7000/3").unwrap();
        store.parse_answer::<()>(Err(error)).unwrap_err()
    }

    #[test]
    fn an_error_is_one_line_that_names_the_address_and_repeats_no_cause() {
        let refused = io::Error::other("refused\n\n  by all\n");
        let error = store_error(refused.into());
        let cause = error.source().unwrap();
        assert_eq!(cause.to_string(), "host:7000/3: refused; by all");
        assert!(cause.source().is_none());
    }

    #[test]
    fn what_the_server_quotes_of_a_command_is_not_passed_on() {
        let detail =
            "unknown command 'EVALSHA', with args beginning with: 'abc' '1' 'session:secret'";
        let error = store_error(make_extension_error(
            "ERR".to_owned(),
            Some(detail.to_owned()),
        ));
        let source = error.source().unwrap();
        let text = format!("{error} {error:?} {source} {source:?}");
        assert!(text.contains("unknown command 'EVALSHA'"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn an_error_code_is_compared_as_a_whole() {
        let answer = Err::<(), _>(make_extension_error("OOM".to_owned(), None));
        assert!(has_code(&answer, "OOM"));
        assert!(!has_code(&answer, "OO"));
    }
}
