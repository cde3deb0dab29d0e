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
use crate::record::{Loaded, Page, Write};

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
