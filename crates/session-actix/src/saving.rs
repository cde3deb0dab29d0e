//! A save that is not cancelled with its request.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use session_core::{Error, Finishing, ResponseHeaders, Result};

use crate::background_saves;

/// A save that runs to its end: within the request, or in a background task if the request is
/// dropped because the client hung up.
pub(crate) struct Saving(Option<Finishing>);

impl Saving {
    pub(crate) fn new(save: Finishing) -> Self {
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
