//! A save that is not cancelled with its request.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::background_saves;
use crate::{Carrier, Error, Finishing, RequestSession, ResponseHeaders, Result};

/// A save that runs to its end: within the request, or in a background task if the request is
/// dropped because the client hung up.
#[derive(Debug)]
#[must_use]
pub struct Saving(Option<Finishing>);

impl Saving {
    /// The save at the end of a request.
    pub fn new(save: Finishing) -> Self {
        Self(Some(save))
    }
}

impl Future for Saving {
    type Output = Result<ResponseHeaders>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let save = self.0.as_mut().expect("not polled after its end");
        // The application's closures may run again in here, on newer data.
        let step = catch_unwind(AssertUnwindSafe(|| Pin::new(save).poll(context)));
        let saved = match step {
            Ok(step) => ready!(step),
            Err(_) => Err(Error::backend(
                "middleware",
                "a closure of the application panicked while the session was saved",
            )),
        };
        self.0 = None;
        Poll::Ready(saved)
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(rest) = self.0.take() {
            background_saves::spawn(rest);
        }
    }
}

/// Opens the session before a handler that may not ask for it. A store that fails must not fail a
/// route that does not use the session, so a failure is only logged.
pub fn opened_untouched<'h, I: Iterator<Item = &'h [u8]>>(
    request_session: &RequestSession,
    values: impl FnOnce(Carrier<'_>) -> I,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let opening = request_session.open_untouched(&mut values(request_session.carrier()));
    Box::pin(async {
        if let Err(error) = opening.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the expiry of a session could not be moved; a later request tries again"
            );
        }
    })
}
