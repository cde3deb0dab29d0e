//! The session of a request: for extractors and other services.

use std::{any::TypeId, future::Future};

use http::{Extensions, HeaderMap, HeaderValue, Request, Uri, header::COOKIE, request::Parts};
use session_core::{
    Carrier, Result,
    adapter::{Opening, Slots},
};

use crate::{DefaultSession, Session};

/// The session of a request, for code other than handlers: other layers and extractors.
pub trait SessionExt {
    /// Returns the session. The first call loads it.
    ///
    /// # Errors
    ///
    /// If the store fails, if no [`SessionLayer`](crate::SessionLayer) wraps this code, or if
    /// another `Sessions` around it has the same cookie name.
    fn session(&self) -> impl Future<Output = Result<Session>> + Send + 'static {
        self.named_session::<DefaultSession>()
    }

    /// Returns the session named `N`. Otherwise as [`session`](Self::session).
    ///
    /// # Errors
    ///
    /// As [`session`](Self::session).
    fn named_session<N: 'static>(
        &self,
    ) -> impl Future<Output = Result<Session<N>>> + Send + 'static;

    /// The session, if some code has loaded it before. For code that cannot wait.
    fn loaded_session<N: 'static>(&self) -> Option<Session<N>>;
}

impl SessionExt for Parts {
    fn named_session<N: 'static>(
        &self,
    ) -> impl Future<Output = Result<Session<N>>> + Send + 'static {
        open(&self.extensions, &self.headers)
    }

    fn loaded_session<N: 'static>(&self) -> Option<Session<N>> {
        loaded(&self.extensions)
    }
}

impl<B> SessionExt for Request<B> {
    fn named_session<N: 'static>(
        &self,
    ) -> impl Future<Output = Result<Session<N>>> + Send + 'static {
        open(self.extensions(), self.headers())
    }

    fn loaded_session<N: 'static>(&self) -> Option<Session<N>> {
        loaded(self.extensions())
    }
}

#[cfg(feature = "axum")]
impl<N: 'static, S: Sync> axum::extract::FromRequestParts<S> for Session<N> {
    type Rejection = crate::SessionError;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send {
        open(&parts.extensions, &parts.headers)
    }
}

/// The future of the extractor [`Session`].
pub type Extracting<N> = Opening<Session<N>>;

fn open<N: 'static>(extensions: &Extensions, headers: &HeaderMap) -> Extracting<N> {
    let of_test = || extensions.get::<Session<N>>().map(|it| (**it).clone());
    let name = TypeId::of::<N>();
    let route = || route(extensions);
    Slots::open(
        extensions.get(),
        name,
        |carrier| carried(headers, carrier),
        route,
        of_test,
    )
}

fn loaded<N: 'static>(extensions: &Extensions) -> Option<Session<N>> {
    let session = extensions.get::<Slots>()?.loaded(TypeId::of::<N>());
    session.map(Into::into)
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
    values.into_iter().map(HeaderValue::as_bytes)
}

/// The pattern of the route, if the framework says it.
#[cfg(feature = "axum")]
pub(crate) fn route(extensions: &Extensions) -> Option<String> {
    let matched = extensions.get::<axum::extract::MatchedPath>()?;
    Some(matched.as_str().to_owned())
}

#[cfg(not(feature = "axum"))]
pub(crate) fn route(_: &Extensions) -> Option<String> {
    None
}

/// The request's URI as it was sent: a router of axum that another one nests sees only the rest.
#[cfg(feature = "axum")]
pub(crate) fn original_uri<'r>(extensions: &'r Extensions, uri: &'r Uri) -> &'r Uri {
    let original = extensions.get::<axum::extract::OriginalUri>();
    original.map_or(uri, |it| &it.0)
}

#[cfg(not(feature = "axum"))]
pub(crate) fn original_uri<'r>(_: &Extensions, uri: &'r Uri) -> &'r Uri {
    uri
}
