use std::{
    any::TypeId,
    future::{Future, ready},
    sync::Arc,
};

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    guard::GuardContext,
    http::header::{COOKIE, HeaderMap, HeaderValue},
};
use futures_util::future::{FutureExt, TryFutureExt};
use session_core::{Error, RequestSession, Result};

use crate::{DefaultSession, Session, slots::Slots};

/// The session of a request, for code that is no handler: other middleware and extractors.
pub trait SessionExt {
    /// Loads the session, the first time, and gives it.
    ///
    /// # Errors
    ///
    /// If the store fails, no middleware of the session wraps this code, or two sessions around it share a cookie.
    fn session(&self) -> impl Future<Output = Result<Session>> + 'static {
        self.named_session::<DefaultSession>()
    }

    /// The session called `N`, as [`session`](Self::session) gives the only one.
    ///
    /// # Errors
    ///
    /// As [`session`](Self::session).
    fn named_session<N: 'static>(&self) -> impl Future<Output = Result<Session<N>>> + 'static;
}

impl SessionExt for HttpRequest {
    fn named_session<N: 'static>(&self) -> impl Future<Output = Result<Session<N>>> + 'static {
        let visit = find_request_session::<N>(self, || self.match_pattern());
        load(
            visit.map_err(|error| session_of_test(self, error)),
            self.headers(),
        )
    }
}

impl SessionExt for ServiceRequest {
    fn named_session<N: 'static>(&self) -> impl Future<Output = Result<Session<N>>> + 'static {
        let visit = find_request_session::<N>(self, || self.match_pattern());
        load(
            visit.map_err(|error| session_of_test(self, error)),
            self.headers(),
        )
    }
}

impl<N: 'static> Session<N> {
    /// The session that some middleware has loaded by now: for guards, which cannot wait.
    pub fn of_guard(context: &GuardContext<'_>) -> Option<Self> {
        let visit = context
            .req_data()
            .get::<Slots>()?
            .request_session(TypeId::of::<N>())?;
        visit.ok()?.loaded().map(Into::into)
    }
}

pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).map(HeaderValue::as_bytes)
}

/// The request's session, not loaded yet; in a debug build it knows its route, for the warning about lost changes.
fn find_request_session<N: 'static>(
    request: &impl HttpMessage,
    route: impl Fn() -> Option<String>,
) -> Result<Arc<RequestSession>> {
    let extensions = request.extensions();
    let Some(slots) = extensions.get::<Slots>() else {
        return Err(no_middleware(route()));
    };
    let visit = slots
        .request_session(TypeId::of::<N>())
        .unwrap_or_else(|| Err(no_middleware(route())))?;
    if cfg!(debug_assertions)
        && let Some(route) = route()
    {
        visit.set_route(route);
    }
    Ok(visit)
}

fn no_middleware(route: Option<String>) -> Error {
    Error::NoMiddleware {
        route: route.map(Into::into),
    }
}

/// Without a middleware: the session that a test of a handler has put into the request itself.
fn session_of_test<N: 'static>(request: &impl HttpMessage, error: Error) -> Result<Session<N>> {
    match (&error, request.extensions().get::<Session<N>>()) {
        (Error::NoMiddleware { .. }, Some(session)) => Ok(session.clone()),
        _ => Err(error),
    }
}

fn load<N: 'static>(
    visit: Result<Arc<RequestSession>, Result<Session<N>>>,
    headers: &HeaderMap,
) -> impl Future<Output = Result<Session<N>>> + use<N> {
    // No `async` block, which would hold the inner future twice.
    match visit {
        Ok(visit) => visit
            .session(&mut cookies(headers))
            .map_ok(Into::into)
            .left_future(),
        Err(session) => ready(session).right_future(),
    }
}
