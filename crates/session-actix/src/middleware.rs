//! The middleware: what an application wraps its routes with.

use std::{
    any::TypeId,
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    rc::Rc,
};

use actix_web::{
    Error, HttpMessage,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use session_core::{Sessions, adapter::Slots};

use crate::{DefaultSession, SessionFuture};

/// Provides the session to the routes that it wraps, and saves the session before the response's
/// head is sent.
///
/// Changes are saved after the handler, whatever the status of the response. The save runs to its
/// end even if the client hangs up. If the session cannot be saved, the response is that of the
/// error, such as 503 with `Retry-After`. If the connection is reset before the handler has
/// returned, the handler is dropped: a log-out is carried out, and a `save` that had begun runs to
/// its end. The other changes are lost, and a warning counts them.
///
/// If it wraps a route twice, both share one session, provided both are clones of one [`Sessions`].
/// With two different `Sessions` that have the same cookie name, a request for the inner session is
/// an error.
pub struct SessionMiddleware<N = DefaultSession> {
    sessions: Sessions,
    name: PhantomData<fn() -> N>,
}

impl SessionMiddleware {
    /// The middleware of the application's only session.
    pub fn new(sessions: Sessions) -> Self {
        Self::named(sessions)
    }
}

impl<N> SessionMiddleware<N> {
    /// The middleware of the session named `N`. Each of several sessions needs its own cookie name.
    pub fn named(sessions: Sessions) -> Self {
        Self {
            sessions,
            name: PhantomData,
        }
    }
}

impl<N> Clone for SessionMiddleware<N> {
    fn clone(&self) -> Self {
        Self::named(self.sessions.clone())
    }
}

impl<N> fmt::Debug for SessionMiddleware<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionMiddleware")
            .field(&self.sessions)
            .finish()
    }
}

impl<N, S, B> Transform<S, ServiceRequest> for SessionMiddleware<N>
where
    N: 'static,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = SessionService<N, S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(SessionService {
            service: Rc::new(service),
            sessions: self.sessions.clone(),
            name: PhantomData,
        }))
    }
}

/// A service that [`SessionMiddleware`] wraps.
pub struct SessionService<N, S> {
    service: Rc<S>,
    sessions: Sessions,
    name: PhantomData<fn() -> N>,
}

impl<N, S> fmt::Debug for SessionService<N, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionService")
            .field(&self.sessions)
            .finish()
    }
}

impl<N, S, B> Service<ServiceRequest> for SessionService<N, S>
where
    N: 'static,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = SessionFuture<S, B>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let insert = |slots| request.extensions_mut().insert(slots);
        let slot = Slots::enter(TypeId::of::<N>(), &self.sessions, insert);
        SessionFuture::new(slot, &self.service, request)
    }
}
