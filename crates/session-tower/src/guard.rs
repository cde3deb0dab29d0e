//! The service of every guard that looks at the session before a request passes.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response, request::Parts};
use session_core::{Session, adapter::Refusal};
use tower_service::Service;

use crate::{
    SessionExt,
    response::{answer_to, is_head},
};

/// Which requests pass.
pub trait Guard: Clone + fmt::Debug + Send + Sync + 'static {
    /// The name of the session that it looks at.
    type Name: 'static;

    /// Whether it decides about this request at all. The others pass, and their session is not
    /// loaded.
    fn is_about(&self, _: &Parts) -> bool {
        true
    }

    /// Whether a request with this session passes.
    ///
    /// # Errors
    ///
    /// If it does not.
    fn admit(&self, session: &Session, request: &Parts) -> Result<(), Refusal>;

    /// The response to a request that does not pass.
    fn answer(&self, refusal: &Refusal, _: &Parts) -> Response<String> {
        refusal.to_response()
    }
}

/// A service that a guard `G` wraps, such as [`FreshLogin`](crate::FreshLogin).
#[derive(Clone, Debug)]
pub struct GuardService<G, S> {
    inner: S,
    guard: G,
}

impl<G: Guard, S> GuardService<G, S> {
    pub(crate) fn new(inner: S, guard: &G) -> Self {
        Self {
            inner,
            guard: guard.clone(),
        }
    }
}

/// The future of a response that a guard let pass or refused.
pub type GuardFuture<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<G, S, Q, B> Service<Request<Q>> for GuardService<G, S>
where
    G: Guard,
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    Q: Send + 'static,
    B: From<String>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = GuardFuture<Response<B>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        // The one that is ready to be called, and not its clone.
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let guard = self.guard.clone();
        let is_head = is_head(&request);
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            if guard.is_about(&parts) {
                let opened = parts.named_session::<G::Name>().await;
                let admitted = match opened {
                    Ok(session) => guard.admit(&session, &parts),
                    Err(error) => return Ok(answer_to(is_head, error.to_response())),
                };
                if let Err(refusal) = admitted {
                    return Ok(answer_to(is_head, guard.answer(&refusal, &parts)));
                }
            }
            service.call(Request::from_parts(parts, body)).await
        })
    }
}
