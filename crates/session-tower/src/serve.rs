//! A layer around axum's whole router, for `axum::serve`: what it asks for the service of each
//! connection.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::serve::{IncomingStream, Listener};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{CrossSiteGuard, CrossSiteService, SessionLayer, SessionService};

impl<'s, N, S, L> Service<IncomingStream<'s, L>> for SessionService<N, S>
where
    S: Service<IncomingStream<'s, L>>,
    L: Listener,
{
    type Response = SessionService<N, S::Response>;
    type Error = S::Error;
    type Future = LayerFuture<SessionLayer<N>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, stream: IncomingStream<'s, L>) -> Self::Future {
        LayerFuture {
            layer: self.layer.clone(),
            inner: self.inner.call(stream),
        }
    }
}

impl<'s, S, L> Service<IncomingStream<'s, L>> for CrossSiteService<S>
where
    S: Service<IncomingStream<'s, L>>,
    L: Listener,
{
    type Response = CrossSiteService<S::Response>;
    type Error = S::Error;
    type Future = LayerFuture<CrossSiteGuard, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, stream: IncomingStream<'s, L>) -> Self::Future {
        LayerFuture {
            layer: self.guard.clone(),
            inner: self.inner.call(stream),
        }
    }
}

pin_project! {
    /// The future of the service of one connection, which `layer` wraps.
    pub struct LayerFuture<T, F> {
        layer: T,
        #[pin]
        inner: F,
    }
}

impl<T, F, S, E> Future for LayerFuture<T, F>
where
    T: Layer<S>,
    F: Future<Output = Result<S, E>>,
{
    type Output = Result<T::Service, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = ready!(this.inner.poll(context))?;
        Poll::Ready(Ok(this.layer.layer(inner)))
    }
}

impl<T, F> fmt::Debug for LayerFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerFuture").finish_non_exhaustive()
    }
}
