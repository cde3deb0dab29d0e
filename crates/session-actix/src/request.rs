//! The session of a request: for extractors, other middleware and guards.

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
        let request_session = find_request_session::<N>(self, || self.match_pattern());
        load(
            request_session.map_err(|error| session_of_test(self, error)),
            self.headers(),
        )
    }
}

impl SessionExt for ServiceRequest {
    fn named_session<N: 'static>(&self) -> impl Future<Output = Result<Session<N>>> + 'static {
        let request_session = find_request_session::<N>(self, || self.match_pattern());
        load(
            request_session.map_err(|error| session_of_test(self, error)),
            self.headers(),
        )
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
) -> Result<Arc<RequestSession>> {
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
fn session_of_test<N: 'static>(request: &impl HttpMessage, error: Error) -> Result<Session<N>> {
    match (&error, request.extensions().get::<Session<N>>()) {
        (Error::NoMiddleware { .. }, Some(session)) => Ok(session.clone()),
        _ => Err(error),
    }
}

fn load<N: 'static>(
    request_session: Result<Arc<RequestSession>, Result<Session<N>>>,
    headers: &HeaderMap,
) -> impl Future<Output = Result<Session<N>>> + use<N> {
    // Not an `async` block, which would store the inner future twice.
    match request_session {
        Ok(request_session) => request_session
            .session(&mut cookies(headers))
            .map_ok(Into::into)
            .left_future(),
        Err(session) => ready(session).right_future(),
    }
}
