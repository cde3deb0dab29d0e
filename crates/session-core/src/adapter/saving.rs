//! A save that is not cancelled with its request.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::background_saves;
use crate::{Carrier, Error, Finishing, RequestSession, ResponseHeaders, Result};

/// What is left to do for a request whose handler has answered.
#[derive(Debug)]
#[must_use]
pub enum Finished {
    /// Nothing at all: nobody asked for the session.
    Unused,
    /// Nothing but the headers.
    Ready(ResponseHeaders),
    /// The save, and then the headers.
    Saving(Saving),
}

/// A save that runs to its end: within the request, or in a background task if the request is
/// dropped because the client hung up.
#[derive(Debug)]
#[must_use]
pub struct Saving {
    save: Option<Finishing>,
    request_session: RequestSession,
}

/// The session could not be saved: the error is the response.
#[derive(Debug)]
pub struct Unsaved {
    /// Why.
    pub error: Error,
    /// What the response of the error has.
    pub headers: ResponseHeaders,
}

impl Saving {
    pub(super) fn new(save: Finishing, request_session: RequestSession) -> Self {
        Self {
            save: Some(save),
            request_session,
        }
    }
}

impl Future for Saving {
    type Output = Result<ResponseHeaders, Unsaved>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let save = self.save.as_mut().expect("not polled after its end");
        // The application's closures may run again in here, on newer data.
        let step = catch_unwind(AssertUnwindSafe(|| Pin::new(save).poll(context)));
        let saved = match step {
            Ok(step) => ready!(step),
            Err(_) => Err(Error::backend(
                "middleware",
                "a closure of the application panicked while the session was saved",
            )),
        };
        self.save = None;
        Poll::Ready(saved.map_err(|error| Unsaved {
            error,
            headers: self.request_session.failed(),
        }))
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(rest) = self.save.take() {
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
