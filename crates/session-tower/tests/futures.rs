//! How large the futures of a request are. Those of `session-core` are measured with
//! `session-actix`.

use std::{
    convert::Infallible,
    future::Ready,
    task::{Context, Poll},
};

use http::{Request, Response};
use session_tower::{CrossSiteFuture, DefaultSession, Extracting, SessionFuture};
use tower_service::Service;

type Answer = Ready<Result<Response<String>, Infallible>>;

/// Answers at once, so that the future of a request is that of the layer alone.
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Answer {
        unreachable!("only its type is used")
    }
}

#[test]
fn a_future_has_less_than_a_kilobyte() {
    for (name, size) in [
        ("layer", size_of::<SessionFuture<Inner, ()>>()),
        (
            "guard",
            size_of::<CrossSiteFuture<Answer, Response<String>>>(),
        ),
        ("extractor", size_of::<Extracting<DefaultSession>>()),
    ] {
        assert!(size < 1024, "{name}: {size} bytes");
    }
}
