//! The layer: what an application adds to its routes.

use std::{
    any::TypeId,
    fmt,
    marker::PhantomData,
    sync::LazyLock,
    task::{Context, Poll},
};

use http::{Extensions, Request, Response};
use session_core::{Sessions, adapter::Slots};
use tower_layer::Layer;
use tower_service::Service;

use crate::{DefaultSession, SessionFuture};

/// Provides the session to the services that it wraps, and saves the session before the response's
/// head is sent.
///
/// Changes are saved after the handler, whatever the status of the response. The save runs to its
/// end even if the client hangs up. If the session cannot be saved, the response is that of the
/// error, such as 503 with `Retry-After`. If the connection is reset before the handler has
/// returned, the handler is dropped: a log-out is carried out, and a `save` that had begun runs to
/// its end. The other changes are lost, and a warning counts them. The same applies if the service
/// inside returns an `Err`, such as that of a timeout, because then no handler has answered.
///
/// If it wraps a route twice, both share one session, provided both are clones of one [`Sessions`].
/// With two different `Sessions` that have the same cookie name, a request for the inner session is
/// an error.
///
/// In axum it goes around the whole router, `layer.layer(router)`, which costs least, or on each
/// route, `router.layer(layer)`.
///
/// The body of the responses must be made `From<String>`, for the text of an error: axum's `Body`,
/// `http_body_util::Full<Bytes>` and `String` are.
pub struct SessionLayer<N = DefaultSession> {
    sessions: Sessions,
    name: PhantomData<fn() -> N>,
}

impl SessionLayer {
    /// The layer of the application's only session.
    pub fn new(sessions: Sessions) -> Self {
        Self::named(sessions)
    }
}

impl<N> SessionLayer<N> {
    /// The layer of the session named `N`. Each of several sessions needs its own cookie name.
    pub fn named(sessions: Sessions) -> Self {
        Self {
            sessions,
            name: PhantomData,
        }
    }
}

impl<N, S> Layer<S> for SessionLayer<N> {
    type Service = SessionService<N, S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService {
            inner,
            layer: self.clone(),
        }
    }
}

impl<N> Clone for SessionLayer<N> {
    fn clone(&self) -> Self {
        Self::named(self.sessions.clone())
    }
}

impl<N> fmt::Debug for SessionLayer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionLayer").field(&self.sessions).finish()
    }
}

/// An empty table with room for the session and what axum's router adds. A fresh one has room for
/// three, axum's own, and would grow for the fourth with each request.
static ROOM: LazyLock<Extensions> = LazyLock::new(|| {
    let mut extensions = Extensions::new();
    extensions.insert([0; 1]);
    extensions.insert([0; 2]);
    extensions.insert([0; 3]);
    extensions.insert([0; 4]);
    extensions.clear();
    extensions
});

/// A service that [`SessionLayer`] wraps.
pub struct SessionService<N, S> {
    pub(crate) inner: S,
    pub(crate) layer: SessionLayer<N>,
}

impl<N, S, Q, B> Service<Request<Q>> for SessionService<N, S>
where
    N: 'static,
    S: Service<Request<Q>, Response = Response<B>> + Clone,
    B: From<String>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = SessionFuture<S, Q>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let extensions = request.extensions_mut();
        if extensions.is_empty() {
            extensions.clone_from(&ROOM);
        }
        let insert = |slots| extensions.insert(slots);
        let slot = Slots::enter(TypeId::of::<N>(), &self.layer.sessions, insert);
        SessionFuture::new(slot, &mut self.inner, request)
    }
}

impl<N, S: Clone> Clone for SessionService<N, S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<N, S> fmt::Debug for SessionService<N, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionService").field(&self.layer).finish()
    }
}
