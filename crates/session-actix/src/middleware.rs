use std::{
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    Error, HttpMessage,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use session_core::{Sessions, Visit};

use crate::{DefaultSession, SessionFuture};

/// Gives the routes it wraps their session, and saves it before the response's head is sent.
///
/// Changes are saved whatever the response's status, and to the end even if the client hangs up. If they cannot be, the
/// answer is a 503 with `Retry-After`.
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

/// Where a request carries its visit.
pub(crate) struct Slot<N>(Arc<Visit>, PhantomData<fn() -> N>);

impl<N> Slot<N> {
    pub(crate) fn visit(&self) -> Arc<Visit> {
        self.0.clone()
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
        let visit = self.sessions.visit();
        request
            .extensions_mut()
            .insert(Slot::<N>(visit.clone(), PhantomData));
        SessionFuture::new(visit, &self.service, request)
    }
}
