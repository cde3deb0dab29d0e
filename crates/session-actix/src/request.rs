//! The session of a request: for extractors, other middleware and guards.

use std::{
    any::TypeId,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::{Payload, ServiceRequest},
    guard::GuardContext,
    http::header::{COOKIE, HeaderMap, HeaderValue},
};
use session_core::{Error, OpenSession, RequestSession, Result};

use crate::{DefaultSession, Session, SessionError, slots::Slots};

/// The session of a request, for code other than handlers: middleware and extractors.
pub trait SessionExt {
    /// Returns the session. The first call loads it.
    ///
    /// # Errors
    ///
    /// If the store fails, if no [`SessionMiddleware`](crate::SessionMiddleware) wraps this code,
    /// or if another `Sessions` around it has the same cookie name.
    fn session(&self) -> impl Future<Output = Result<Session>> + 'static {
        self.named_session::<DefaultSession>()
    }

    /// Returns the session named `N`. Otherwise as [`session`](Self::session).
    ///
    /// # Errors
    ///
    /// As [`session`](Self::session).
    fn named_session<N: 'static>(&self) -> impl Future<Output = Result<Session<N>>> + 'static;
}

impl SessionExt for HttpRequest {
    fn named_session<N: 'static>(&self) -> impl Future<Output = Result<Session<N>>> + 'static {
        open(self, || self.match_pattern())
    }
}

impl SessionExt for ServiceRequest {
    fn named_session<N: 'static>(&self) -> impl Future<Output = Result<Session<N>>> + 'static {
        open(self, || self.match_pattern())
    }
}

impl<N: 'static> FromRequest for Session<N> {
    type Error = SessionError;
    type Future = Extracting<N>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        open(request, || request.match_pattern())
    }
}

/// The future of the extractor [`Session`].
#[must_use]
pub struct Extracting<N> {
    step: Step,
    name: PhantomData<fn() -> N>,
}

enum Step {
    Opening(OpenSession),
    /// Without a middleware. `None` once it is returned.
    Done(Option<Result<session_core::Session>>),
}

impl<N> Future for Extracting<N> {
    type Output = Result<Session<N>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let session = match &mut self.step {
            Step::Opening(opening) => ready!(Pin::new(opening).poll(context)),
            Step::Done(session) => session.take().expect("not polled after its end"),
        };
        Poll::Ready(session.map(Into::into))
    }
}

impl<N> fmt::Debug for Extracting<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extracting").finish_non_exhaustive()
    }
}

impl<N: 'static> Session<N> {
    /// The session, if some middleware has loaded it before. For guards, which cannot wait.
    pub fn of_guard(context: &GuardContext<'_>) -> Option<Self> {
        let request_session = context
            .req_data()
            .get::<Slots>()?
            .request_session(TypeId::of::<N>())?;
        request_session.ok()?.loaded().map(Into::into)
    }
}

pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).map(HeaderValue::as_bytes)
}

/// The request's session, not loaded yet. In a debug build it is told its route, for the warning
/// about changes that are not saved.
fn find_request_session<N: 'static>(
    request: &impl HttpMessage,
    route: impl Fn() -> Option<String>,
) -> Result<RequestSession> {
    let extensions = request.extensions();
    let Some(slots) = extensions.get::<Slots>() else {
        return Err(no_middleware(route()));
    };
    let request_session = slots
        .request_session(TypeId::of::<N>())
        .unwrap_or_else(|| Err(no_middleware(route())))?;
    if cfg!(debug_assertions)
        && let Some(route) = route()
    {
        request_session.set_route(route);
    }
    Ok(request_session)
}

fn no_middleware(route: Option<String>) -> Error {
    Error::NoMiddleware {
        route: route.map(Into::into),
    }
}

/// The session that a test put into the request, if there is no middleware.
fn session_of_test<N: 'static>(
    request: &impl HttpMessage,
    error: Error,
) -> Result<session_core::Session> {
    match (&error, request.extensions().get::<Session<N>>()) {
        (Error::NoMiddleware { .. }, Some(session)) => Ok((**session).clone()),
        _ => Err(error),
    }
}

fn open<N: 'static>(
    request: &impl HttpMessage,
    route: impl Fn() -> Option<String>,
) -> Extracting<N> {
    let step = match find_request_session::<N>(request, route) {
        Ok(request_session) => {
            Step::Opening(request_session.session(&mut cookies(request.headers())))
        }
        Err(error) => Step::Done(Some(session_of_test::<N>(request, error))),
    };
    let name = PhantomData;
    Extracting { step, name }
}
