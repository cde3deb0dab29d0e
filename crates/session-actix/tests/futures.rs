//! How large the futures of a request are.

use std::future::Ready;

use actix_web::{
    Error,
    body::BoxBody,
    dev::{Service, ServiceRequest, ServiceResponse, always_ready},
};
use session_actix::{
    CrossSiteFuture, DefaultSession, Extracting, SessionFuture,
    session_core::{self, Finishing},
};

#[test]
fn a_future_has_less_than_a_kilobyte() {
    type Answer = Ready<Result<ServiceResponse, Error>>;

    /// Answers at once, so that the future of a request is that of the middleware alone.
    struct Inner;

    impl Service<ServiceRequest> for Inner {
        type Response = ServiceResponse;
        type Error = Error;
        type Future = Answer;

        always_ready!();

        fn call(&self, _: ServiceRequest) -> Self::Future {
            unreachable!("only its type is used")
        }
    }

    let session = session_core::Session::in_memory();
    for (name, size) in [
        ("middleware", size_of::<SessionFuture<Inner, BoxBody>>()),
        (
            "guard",
            size_of::<CrossSiteFuture<Answer, ServiceResponse>>(),
        ),
        ("extractor", size_of::<Extracting<DefaultSession>>()),
        ("save", size_of_val(&session.save())),
        ("reload", size_of_val(&session.reload())),
        ("the save at the end", size_of::<Finishing>()),
    ] {
        assert!(size < 1024, "{name}: {size} bytes");
    }
}
