use std::{
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use futures_util::future::LocalBoxFuture;
use session_core::{Finish, Outcome, Sessions, Visit};

use crate::{
    DefaultSession, SessionError,
    head::{self, ErrorWithHead},
    request::cookies,
};

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
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let visit = self.sessions.visit();
        request
            .extensions_mut()
            .insert(Slot::<N>(visit.clone(), PhantomData));
        let service = self.service.clone();
        Box::pin(async move {
            if visit.refreshes_untouched() {
                let opened = visit.open_untouched(&mut cookies(request.headers())).await;
                if let Err(error) = opened {
                    // A route that does not use the session does not suffer from its store.
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a session's expiry was not moved"
                    );
                }
            }
            let answer = service.call(request).await;
            let finished = finish(&visit).await;
            respond(answer, finished)
        })
    }
}

async fn finish(visit: &Visit) -> Result<Outcome, SessionError> {
    match visit.finish() {
        Finish::Ready(outcome) => Ok(outcome),
        // A task of its own runs to its end even if the client hangs up and this future is dropped.
        Finish::Pending(saving) => match tokio::spawn(saving).await {
            Ok(saved) => Ok(saved?),
            Err(error) => Err(session_core::Error::backend("middleware", error).into()),
        },
    }
}

fn respond<B>(
    answer: Result<ServiceResponse<B>, Error>,
    finished: Result<Outcome, SessionError>,
) -> Result<ServiceResponse<EitherBody<B>>, Error>
where
    B: MessageBody + 'static,
{
    match (answer, finished) {
        (Ok(mut response), Ok(outcome)) => {
            head::write(&outcome, response.headers_mut());
            Ok(response.map_into_left_body())
        }
        (Err(inner), Ok(outcome)) if outcome == Outcome::default() => Err(inner),
        (Err(inner), Ok(outcome)) => Err(ErrorWithHead::of(inner, outcome).into()),
        (Ok(response), Err(failure)) => {
            let mut instead = failure.error_response();
            head::keep_cookies(response.headers(), instead.headers_mut());
            head::write(&failed(), instead.headers_mut());
            Ok(response.into_response(instead).map_into_right_body())
        }
        (Err(inner), Err(failure)) => {
            Err(ErrorWithHead::instead_of(inner, failure, failed()).into())
        }
    }
}

/// The head of an answer whose session could not be saved: the cookie is left alone.
fn failed() -> Outcome {
    Outcome {
        set_cookie: None,
        vary: true,
    }
}
