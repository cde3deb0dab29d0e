//! A call of the store that is timed wherever it is dropped.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    super::{Described, Operation, spanned},
    Began, Metrics,
};
use crate::error::{Error, Result};

/// `call`, which is timed, within a span. If it is dropped before its answer, its time was over.
pub(crate) fn timed<T: Described>(
    metrics: &Metrics,
    operation: Operation,
    call: impl Future<Output = Result<T>> + Send,
) -> impl Future<Output = Result<T>> + Send {
    Timed {
        metrics,
        operation,
        began: Began::now(),
        call: Some(Box::pin(spanned(operation, call))),
    }
}

struct Timed<'m, F> {
    metrics: &'m Metrics,
    operation: Operation,
    began: Began,
    /// Until its answer.
    call: Option<Pin<Box<F>>>,
}

impl<T: Described, F: Future<Output = Result<T>>> Future for Timed<'_, F> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let call = self.call.as_mut().expect("it is polled until its answer");
        let answer = ready!(call.as_mut().poll(context));
        self.call = None;
        self.metrics
            .store_answer(self.operation, self.began, &answer);
        Poll::Ready(answer)
    }
}

impl<F> Drop for Timed<'_, F> {
    fn drop(&mut self) {
        if self.call.is_some() {
            let budget = Duration::ZERO;
            let over: Result<()> = Err(Error::Timeout { budget });
            self.metrics.store_answer(self.operation, self.began, &over);
        }
    }
}
