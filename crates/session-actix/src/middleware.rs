use std::{
    any::TypeId,
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    rc::Rc,
};

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use session_core::Sessions;

use crate::{DefaultSession, SessionFuture, slots::Slots};

/// Gives the routes it wraps their session, and saves it before the response's head is sent.
///
/// Changes are saved after the handler, whatever the response's status, and to the end even if the client hangs up. If
/// they cannot be, the answer is a 503 with `Retry-After`. Of a handler that is dropped before its end, because the
/// connection was reset, a log-out is carried out and a `save` that it had begun goes on; a warning counts its other
/// changes, which are lost.
///
/// Around a route a second time it does nothing more: both share one session. Others under the same cookie name are an
/// error to whoever asks for them.
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
    /// The middleware of the session called `N`; give each of several sessions a cookie name of its own.
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

/// What [`SessionMiddleware`] makes of the service that it wraps.
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
        let slot = Slots::enter(&request, TypeId::of::<N>(), &self.sessions);
        SessionFuture::new(slot, &self.service, request)
    }
}
