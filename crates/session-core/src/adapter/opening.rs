//! The future of an extractor.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{OpenSession, Result, Session};

/// Opens a request's session, as the adapter's own type `S`.
#[must_use]
pub struct Opening<S> {
    step: Step,
    session: PhantomData<fn() -> S>,
}

enum Step {
    Opening(OpenSession),
    /// Without a middleware. `None` once it is returned.
    Done(Option<Result<Session>>),
}

impl<S> Opening<S> {
    pub(super) fn of(opening: OpenSession) -> Self {
        Self {
            step: Step::Opening(opening),
            session: PhantomData,
        }
    }

    pub(super) fn done(session: Result<Session>) -> Self {
        Self {
            step: Step::Done(Some(session)),
            session: PhantomData,
        }
    }
}

impl<S: From<Session>> Future for Opening<S> {
    type Output = Result<S>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let session = match &mut self.step {
            Step::Opening(opening) => ready!(Pin::new(opening).poll(context)),
            Step::Done(session) => session.take().expect("not polled after its end"),
        };
        Poll::Ready(session.map(Into::into))
    }
}

impl<S> fmt::Debug for Opening<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}
