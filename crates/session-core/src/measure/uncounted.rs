//! Without the feature `metrics` nothing is counted, and nothing is done for it.
#![expect(clippy::inline_always, reason = "it is nothing")]

use std::time::Duration;

use super::{Described, Operation};
use crate::{error::Result, store::SessionStore};

#[inline(always)]
pub(crate) fn store_call<T: Described>(_: Operation, _: Duration, _: &Result<T>) {}

#[derive(Clone, Copy)]
pub(crate) struct Began;

impl Began {
    #[inline(always)]
    pub(crate) fn now() -> Self {
        Self
    }
}

#[inline(always)]
pub(crate) fn store_answer<T: Described>(_: Operation, _: Began, _: &Result<T>) {}

#[derive(Debug, Default)]
pub(crate) struct Calls {}

/// A call that is under way.
pub(crate) struct UnderWay {}

impl Calls {
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "it is nothing")]
    pub(crate) fn begin(&self, _: &dyn SessionStore) -> UnderWay {
        UnderWay {}
    }
}

/// `call`, within a span.
#[cfg(feature = "flask-cookie")]
#[inline(always)]
pub(crate) fn timed<F: Future>(operation: Operation, call: F) -> impl Future<Output = F::Output> {
    super::spanned(operation, call)
}

#[derive(Debug, Default)]
pub(crate) struct RequestResult {}

impl RequestResult {
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "it is nothing")]
    pub(crate) fn met<T>(&self, answer: Result<T>) -> Result<T> {
        answer
    }

    #[inline(always)]
    #[expect(clippy::unused_self, reason = "it is nothing")]
    pub(crate) fn answered(&self, _: bool) {}
}

#[inline(always)]
pub(crate) fn waits(_: bool) {}

#[inline(always)]
pub(crate) fn swept(_: u64) {}

#[inline(always)]
pub(crate) fn security_event(_: &'static str) {}
