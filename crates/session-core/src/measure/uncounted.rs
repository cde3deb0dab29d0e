//! Without the feature `metrics` nothing is counted, and nothing is done for it.
#![expect(clippy::inline_always, reason = "it is nothing")]

use std::time::Duration;

use super::{Described, Operation};
use crate::{
    error::Result,
    store::{SessionStore, Swept},
};

#[derive(Clone, Copy)]
pub(crate) struct Began;

impl Began {
    #[inline(always)]
    pub(crate) fn now() -> Self {
        Self
    }
}

#[inline(always)]
pub(crate) fn sweep_answer(_: Began, _: &Result<Swept>) {}

#[derive(Debug, Default)]
pub(crate) struct Metrics {}

/// A call that is under way.
pub(crate) struct UnderWay {}

#[expect(clippy::unused_self, reason = "it is nothing")]
impl Metrics {
    #[inline(always)]
    pub(crate) fn begin_call(&self, _: &dyn SessionStore) -> UnderWay {
        UnderWay {}
    }

    #[inline(always)]
    pub(crate) fn store_call<T: Described>(&self, _: Operation, _: Duration, _: &Result<T>) {}

    #[inline(always)]
    pub(crate) fn store_answer<T: Described>(&self, _: Operation, _: Began, _: &Result<T>) {}
}

/// `call`, within a span.
#[cfg(feature = "flask-cookie")]
#[inline(always)]
pub(crate) fn timed<F: Future>(
    _: &Metrics,
    operation: Operation,
    call: F,
) -> impl Future<Output = F::Output> {
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
    pub(crate) fn answered(&self, _: &Metrics, _: bool) {}
}

#[inline(always)]
pub(crate) fn waits(_: bool) {}

#[inline(always)]
pub(crate) fn swept(_: u64) {}

#[inline(always)]
pub(crate) fn moved() {}

#[inline(always)]
pub(crate) fn security_event(_: &'static str) {}
