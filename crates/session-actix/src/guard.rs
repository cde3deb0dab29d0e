//! The service of every guard that looks at the session before a request passes.

use std::{fmt, rc::Rc};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, forward_ready},
};
use futures_util::future::{FutureExt, LocalBoxFuture};
use session_core::{Session, adapter::Refusal};

use crate::SessionExt;

/// Which requests pass.
pub trait Guard: Clone + fmt::Debug + 'static {
    /// The name of the session that it looks at.
    type Name: 'static;

    /// Whether it decides about this request at all. The others pass, and their session is not
    /// loaded.
    fn is_about(&self, _: &HttpRequest) -> bool {
        true
    }

    /// Whether a request with this session passes.
    ///
    /// # Errors
    ///
    /// If it does not.
    fn admit(&self, session: &Session, request: &HttpRequest) -> Result<(), Refusal>;

    /// The response to a request that does not pass.
    fn answer(&self, refusal: &Refusal, _: &HttpRequest) -> HttpResponse {
        refusal.actix_response()
    }
}

/// A service that a guard `G` wraps, such as [`FreshLogin`](crate::FreshLogin).
#[derive(Debug)]
pub struct GuardService<G, S> {
    service: Rc<S>,
    guard: G,
}

impl<G: Guard, S> GuardService<G, S> {
    pub(crate) fn new(service: S, guard: &G) -> Self {
        Self {
            service: Rc::new(service),
            guard: guard.clone(),
        }
    }
}

impl<G, S, B> Service<ServiceRequest> for GuardService<G, S>
where
    G: Guard,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (service, guard) = (self.service.clone(), self.guard.clone());
        async move {
            if guard.is_about(request.request()) {
                let session = request.named_session::<G::Name>().await?;
                if let Err(refusal) = guard.admit(&session, request.request()) {
                    let answer = guard.answer(&refusal, request.request());
                    return Ok(request.into_response(answer).map_into_right_body());
                }
            }
            Ok(service.call(request).await?.map_into_left_body())
        }
        .boxed_local()
    }
}
