//! What operators watch: the feature `metrics` counts and times, the feature `spans` traces the calls
//! of the store. Without them these functions are empty.

#[cfg(feature = "metrics")]
mod counted;
#[cfg(not(feature = "metrics"))]
#[path = "measure/uncounted.rs"]
mod counted;

pub(crate) use self::counted::*;
#[cfg(feature = "metrics")]
pub use self::counted::{METRIC_BUCKETS, METRICS};
use crate::{
    record::{Loaded, Page, Write},
    store::Swept,
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
    Check,
}

/// What a call of the store came to, as an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, reason = "only metrics ask")
)]
pub(crate) enum CallResult {
    Found,
    Absent,
    Forwarded,
    Ended,
    Stored,
    Refused,
    Done,
    Timeout,
    Backend,
    Unsuitable,
    Other,
}

/// Whose result is known.
#[cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, reason = "only metrics ask")
)]
pub(crate) trait Described {
    fn result(&self) -> CallResult;
}

impl Described for Option<Loaded> {
    fn result(&self) -> CallResult {
        match self.as_ref().map(|it| it.bytes.get(..3)) {
            None => CallResult::Absent,
            // What a renewed and an ended session leave begin so.
            Some(Some([0xc1, _, 1])) => CallResult::Forwarded,
            Some(Some([0xc1, _, 2])) => CallResult::Ended,
            Some(_) => CallResult::Found,
        }
    }
}

impl Described for Write {
    fn result(&self) -> CallResult {
        match self {
            Self::Stored(_) => CallResult::Stored,
            Self::Refused => CallResult::Refused,
        }
    }
}

impl Described for () {
    fn result(&self) -> CallResult {
        CallResult::Done
    }
}

impl Described for Swept {
    fn result(&self) -> CallResult {
        CallResult::Done
    }
}

impl Described for Page {
    fn result(&self) -> CallResult {
        CallResult::Done
    }
}

#[cfg(feature = "metrics")]
impl CallResult {
    const ALL: [Self; 11] = [
        Self::Found,
        Self::Absent,
        Self::Forwarded,
        Self::Ended,
        Self::Stored,
        Self::Refused,
        Self::Done,
        Self::Timeout,
        Self::Backend,
        Self::Unsuitable,
        Self::Other,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Absent => "absent",
            Self::Forwarded => "forwarded",
            Self::Ended => "ended",
            Self::Stored => "stored",
            Self::Refused => "refused",
            Self::Done => "done",
            Self::Timeout => "timeout",
            Self::Backend => "backend",
            Self::Unsuitable => "unsuitable",
            Self::Other => "other",
        }
    }
}

impl Operation {
    #[cfg(feature = "metrics")]
    const ALL: [Self; 7] = [
        Self::Load,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::List,
        Self::Sweep,
        Self::Check,
    ];

    #[cfg(any(feature = "metrics", feature = "spans"))]
    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Sweep => "sweep",
            Self::Check => "check",
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
