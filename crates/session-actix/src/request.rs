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
use futures_util::future::FutureExt;
use session_core::Visit;

use crate::{DefaultSession, Session, SessionError, slots::Slots};

/// The session of a request, for code that is no handler: other middleware and extractors.
pub trait SessionExt {
    /// Loads the session, the first time, and gives it.
    ///
    /// # Errors
    ///
    /// If the store fails, no middleware of the session wraps this code, or two sessions around it share a cookie.
    fn session(&self) -> impl Future<Output = Result<Session, SessionError>> + 'static {
        self.named_session::<DefaultSession>()
    }

    /// The session called `N`, as [`session`](Self::session) gives the only one.
    ///
    /// # Errors
    ///
    /// As [`session`](Self::session).
    fn named_session<N: 'static>(
        &self,
    ) -> impl Future<Output = Result<Session<N>, SessionError>> + 'static;
}

impl SessionExt for HttpRequest {
    fn named_session<N: 'static>(
        &self,
    ) -> impl Future<Output = Result<Session<N>, SessionError>> + 'static {
        let visit = visit::<N>(self, || self.match_pattern());
        load::<N>(visit, self.headers())
    }
}

impl SessionExt for ServiceRequest {
    fn named_session<N: 'static>(
        &self,
    ) -> impl Future<Output = Result<Session<N>, SessionError>> + 'static {
        let visit = visit::<N>(self, || self.match_pattern());
        load::<N>(visit, self.headers())
    }
}

impl<N: 'static> Session<N> {
    /// The session that some middleware has loaded by now: for guards, which cannot wait.
    pub fn of_guard(context: &GuardContext<'_>) -> Option<Self> {
        let visit = context.req_data().get::<Slots>()?.visit(TypeId::of::<N>());
        visit.ok()?.loaded().map(Into::into)
    }
}

pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).map(HeaderValue::as_bytes)
}

/// The visit; in a debug build it knows its route, for the warning about lost changes.
fn visit<N: 'static>(
    request: &impl HttpMessage,
    route: impl FnOnce() -> Option<String>,
) -> Result<Arc<Visit>, SessionError> {
    let extensions = request.extensions();
    let visit = match extensions.get::<Slots>() {
        Some(slots) => slots.visit(TypeId::of::<N>()),
        None => Err(SessionError::no_middleware()),
    };
    match visit {
        Ok(visit) => {
            if cfg!(debug_assertions)
                && let Some(route) = route()
            {
                visit.set_route(route);
            }
            Ok(visit)
        }
        Err(error) => Err(error.at(route())),
    }
}

fn load<N: 'static>(
    visit: Result<Arc<Visit>, SessionError>,
    headers: &HeaderMap,
) -> impl Future<Output = Result<Session<N>, SessionError>> + use<N> {
    // No `async` block, which would hold the inner future twice.
    match visit {
        Ok(visit) => visit
            .session(&mut cookies(headers))
            .map(|session| Ok(session?.into()))
            .left_future(),
        Err(error) => ready(Err(error)).right_future(),
    }
}
