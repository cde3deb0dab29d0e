//! What operators watch: the feature `metrics` counts and times, the feature `spans` traces the calls
//! of the store. Without them these functions are empty.

use std::time::Duration;

use crate::{
    error::{Error, Result},
    record::{Loaded, Page, Write},
};

/// A call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Load,
    Insert,
    Update,
    Delete,
    List,
    Sweep,
}

/// What a call of the store came to, as an attribute.
#[cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, reason = "only metrics ask")
)]
pub(crate) trait Described {
    fn result(&self) -> &'static str;
}

impl Described for Option<Loaded> {
    fn result(&self) -> &'static str {
        match self.as_ref().map(|it| it.bytes.get(..3)) {
            None => "absent",
            // What a renewed and an ended session leave begin so.
            Some(Some([0xc1, _, 1])) => "forwarded",
            Some(Some([0xc1, _, 2])) => "ended",
            Some(_) => "found",
        }
    }
}

impl Described for Write {
    fn result(&self) -> &'static str {
        match self {
            Self::Stored(_) => "stored",
            Self::Refused => "refused",
        }
    }
}

impl Described for () {
    fn result(&self) -> &'static str {
        "done"
    }
}

impl Described for u64 {
    fn result(&self) -> &'static str {
        "done"
    }
}

impl Described for Page {
    fn result(&self) -> &'static str {
        "done"
    }
}

/// The names of the metrics. Attributes never have an id, a key, a user or a value.
///
/// | name | kind | of what | attributes |
/// |---|---|---|---|
/// | `session.store.operation.duration` | histogram, seconds | calls of the store | `operation`: `load`, `insert`, `update`, `delete`, `list` or `sweep`; `outcome`: `found`, `absent`, `forwarded` and `ended` (tombstones), `stored`, `refused` (another request was first; the changes are made again), `done`, or the error: `timeout`, `backend`, `unsuitable`, `other` |
/// | `session.request.count` | counter | requests that used the session and are answered | `outcome`: `done`, or the error: `store`, `conflict`, `limit`, `application` |
/// | `session.sweep.removed` | counter | expired records | |
/// | `session.security_event.count` | counter | security events, also those that are not logged | `event`: as in [`SECURITY_EVENTS`](crate::SECURITY_EVENTS) |
///
/// The first follows OpenTelemetry's `db.client.operation.duration`: one call of the store, which is
/// one round trip or two. A request that did not ask for its session is not counted.
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub const METRICS: [&str; 4] = [OPERATION, REQUESTS, SWEPT, SECURITY];

#[cfg(feature = "metrics")]
const OPERATION: &str = "session.store.operation.duration";
#[cfg(feature = "metrics")]
const REQUESTS: &str = "session.request.count";
#[cfg(feature = "metrics")]
const SWEPT: &str = "session.sweep.removed";
#[cfg(feature = "metrics")]
const SECURITY: &str = "session.security_event.count";

impl Operation {
    #[cfg(any(feature = "metrics", feature = "spans"))]
    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Sweep => "sweep",
        }
    }
}

/// `call`, within a span.
#[cfg(feature = "spans")]
pub(crate) fn spanned<F: Future>(
    operation: Operation,
    call: F,
) -> tracing::instrument::Instrumented<F> {
    use tracing::Instrument;
    call.instrument(tracing::debug_span!(
        target: "session::store",
        "session.store",
        operation = operation.name()
    ))
}

/// `call` as it is.
#[cfg(not(feature = "spans"))]
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is nothing")]
pub(crate) fn spanned<F: Future>(_: Operation, call: F) -> F {
    call
}

/// A call of the store was answered, or its time was over.
#[inline]
#[cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, reason = "it is nothing")
)]
pub(crate) fn store_call<T: Described>(operation: Operation, took: Duration, answer: &Result<T>) {
    #[cfg(feature = "metrics")]
    {
        let outcome = match answer {
            Ok(answer) => answer.result(),
            Err(Error::Timeout { .. }) => "timeout",
            Err(Error::Backend { .. }) => "backend",
            Err(Error::Unsuitable { .. }) => "unsuitable",
            Err(_) => "other",
        };
        let operation = operation.name();
        metrics::histogram!(OPERATION, "operation" => operation, "outcome" => outcome)
            .record(took.as_secs_f64());
    }
}

/// A request that asked for its session ends.
#[inline]
#[cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, reason = "it is nothing")
)]
pub(crate) fn request(error: Option<&Error>) {
    #[cfg(feature = "metrics")]
    {
        let outcome = match error {
            None => "done",
            Some(Error::Conflict | Error::Contended) => "conflict",
            Some(
                Error::TooLarge { .. } | Error::TooManyKeys { .. } | Error::TooManySessions { .. },
            ) => "limit",
            Some(error) if error.status() == 503 => "store",
            Some(_) => "application",
        };
        metrics::counter!(REQUESTS, "outcome" => outcome).increment(1);
    }
}

/// A sweep removed records.
#[inline]
#[cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, reason = "it is nothing")
)]
pub(crate) fn swept(removed: u64) {
    #[cfg(feature = "metrics")]
    metrics::counter!(SWEPT).increment(removed);
}

/// A security event, logged or not.
#[inline]
#[cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, reason = "it is nothing")
)]
pub(crate) fn security_event(event: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(SECURITY, "event" => event).increment(1);
}
