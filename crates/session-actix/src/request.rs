//! The session of a request: for extractors, other middleware and guards.

use std::{any::TypeId, future::Future};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::{Payload, ServiceRequest},
    guard::GuardContext,
    http::header::{COOKIE, HeaderMap, HeaderValue},
};
use session_core::{
    Carrier, Result,
    adapter::{Opening, Slots},
};

use crate::{DefaultSession, Session, SessionError};

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
pub type Extracting<N> = Opening<Session<N>>;

impl<N: 'static> Session<N> {
    /// The session, if some middleware has loaded it before. For guards, which cannot wait.
    pub fn of_guard(context: &GuardContext<'_>) -> Option<Self> {
        let data = context.req_data();
        let session = data.get::<Slots>()?.loaded(TypeId::of::<N>());
        session.map(Into::into)
    }
}

/// The value of a request header.
#[cfg(feature = "dbsc")]
pub(crate) fn header<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r [u8]> {
    request.headers().get(name).map(HeaderValue::as_bytes)
}

/// The values of the header that carries the session's id.
pub(crate) fn carried<'h>(
    headers: &'h HeaderMap,
    carrier: Carrier<'_>,
) -> impl Iterator<Item = &'h [u8]> + use<'h> {
    let values = match carrier {
        Carrier::Cookie => headers.get_all(COOKIE),
        Carrier::Header(name) => headers.get_all(name),
    };
    values.map(HeaderValue::as_bytes)
}

fn open<N: 'static>(
    request: &impl HttpMessage,
    route: impl Fn() -> Option<String>,
) -> Extracting<N> {
    let extensions = request.extensions();
    let of_test = || extensions.get::<Session<N>>().map(|it| (**it).clone());
    Slots::open(
        extensions.get(),
        TypeId::of::<N>(),
        |carrier| carried(request.headers(), carrier),
        route,
        of_test,
    )
}
