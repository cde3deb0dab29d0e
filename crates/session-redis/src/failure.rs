use std::{io, time::Duration};

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};

use crate::server::Address;

/// What a failed exchange says about the connection and about the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server refused the command; the connection is sound.
    Refused,
    /// Another node of the cluster has the key; the command was not carried out.
    Elsewhere,
    /// The server became a replica; the command was not carried out.
    Demoted,
    /// No answer in time; whether the command was carried out is unknown.
    Silent,
    /// No connection could be had to send the command on; it was not carried out.
    Unreachable,
    /// The connection broke; whether the command was carried out is unknown.
    Broken,
}

impl Fault {
    pub(crate) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(
                ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain,
            ) => Self::Elsewhere,
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::Demoted,
            ErrorKind::ClusterConnectionNotFound => Self::Unreachable,
            ErrorKind::Io if error.is_connection_refusal() => Self::Unreachable,
            ErrorKind::Io if error.is_timeout() => Self::Silent,
            ErrorKind::Io | ErrorKind::Parse => Self::Broken,
            _ => Self::Refused,
        }
    }
}

/// What comes of `work`, unless that takes longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let answer = tokio::time::timeout(limit, work).await;
    answer.map_err(io::Error::from)?
}

/// Whether the server answered with the error code `code`, such as `WRONGTYPE`.
pub(crate) fn failed_with<T>(answer: &RedisResult<T>, code: &str) -> bool {
    let error = answer.as_ref().err();
    error.is_some_and(|error| error.code() == Some(code))
}

/// What the driver met, and where, in one line, without what the server repeats of the command: keys and records are
/// secrets. Text and no error with a source: the driver's error gives its own text as its cause again.
pub(crate) fn told(address: &Address, error: &RedisError) -> String {
    let text = error.to_string();
    let (said, _) = text
        .split_once(", with args beginning with")
        .unwrap_or((&text, ""));
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join("; ");
    format!("{address:?}: {line}")
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use redis::make_extension_error;
    use session_core::Error;

    use super::*;
    use crate::RedisStore;

    fn failure(error: RedisError) -> Error {
        let store = RedisStore::connect("redis://ada:hunter2@host:7000/3").unwrap();
        store.read_answer::<()>(Err(error)).unwrap_err()
    }

    #[test]
    fn a_failure_is_one_line_that_names_the_address_and_tells_its_cause_once() {
        let refused = io::Error::other("refused\n\n  by all\n");
        let error = failure(refused.into());
        let cause = error.source().unwrap();
        assert_eq!(cause.to_string(), "host:7000/3: refused; by all");
        assert!(cause.source().is_none());
    }

    #[test]
    fn what_the_server_repeats_of_a_command_is_not_passed_on() {
        let detail =
            "unknown command 'EVALSHA', with args beginning with: 'abc' '1' 'session:secret'";
        let error = failure(make_extension_error(
            "ERR".to_owned(),
            Some(detail.to_owned()),
        ));
        let source = error.source().unwrap();
        let text = format!("{error} {error:?} {source} {source:?}");
        assert!(text.contains("unknown command 'EVALSHA'"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn a_code_is_known_by_its_name() {
        let answer = Err::<(), _>(make_extension_error("OOM".to_owned(), None));
        assert!(failed_with(&answer, "OOM"));
        assert!(!failed_with(&answer, "OO"));
    }
}
