//! Refuses sessions without proof of the device that they are bound to.

use std::{
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::header::{ContentType, HeaderName},
};
use futures_util::future::{FutureExt, LocalBoxFuture};
use session_core::{
    Sessions,
    config::ConfigError,
    dbsc::{DevicePolicy, DeviceState},
};

use crate::{DefaultSession, SessionExt, device_routes::binding_of};

const SKIPPED: HeaderName = HeaderName::from_static("secure-session-skipped");

const EXPLANATION: &str = "This page is only for a browser that proves on which device it runs, and this request came \
    without the proof. Log out and in again, with a browser that has Device Bound Session Credentials.\n";

type Answer = fn(&HttpRequest) -> HttpResponse;

/// Lets only sessions pass that prove their device, as a [`DevicePolicy`] says. The others get a 403
/// with an explanation.
///
/// Add it before the [`SessionMiddleware`](crate::SessionMiddleware). The routes of
/// [`device_routes`](crate::device_routes()) always pass. **The routes that log in and out must be
/// outside**, otherwise a user whose browser has lost its key cannot log in again.
///
/// It also reports why a browser sent a request without the bound cookie, as the security event
/// `device_skipped`.
///
/// ```
/// use actix_web::{App, HttpResponse, web};
/// use session_actix::{
///     DeviceGuard, SessionMiddleware,
///     session_core::{Sessions, config::ConfigError, dbsc::DevicePolicy},
/// };
///
/// fn guarded(sessions: Sessions) -> Result<(), ConfigError> {
///     let guard = DeviceGuard::new(&sessions, DevicePolicy::Require)?;
///     App::new()
///         .service(web::resource("/transfer").wrap(guard).post(HttpResponse::Ok))
///         .wrap(SessionMiddleware::new(sessions));
///     Ok(())
/// }
/// ```
pub struct DeviceGuard<N = DefaultSession> {
    policy: DevicePolicy,
    own_routes: [Arc<str>; 2],
    answer: Answer,
    name: PhantomData<fn() -> N>,
}

impl DeviceGuard {
    /// The guard with this policy.
    ///
    /// # Errors
    ///
    /// If the settings of `sessions` have no [`DeviceBinding`](session_core::dbsc::DeviceBinding).
    pub fn new(sessions: &Sessions, policy: DevicePolicy) -> Result<Self, ConfigError> {
        Self::named(sessions, policy)
    }
}

impl<N> DeviceGuard<N> {
    /// As [`new`](DeviceGuard::new), for the session named `N`.
    ///
    /// # Errors
    ///
    /// As [`new`](DeviceGuard::new).
    pub fn named(sessions: &Sessions, policy: DevicePolicy) -> Result<Self, ConfigError> {
        let binding = binding_of(sessions)?;
        Ok(Self {
            policy,
            own_routes: [
                binding.registration_path().into(),
                binding.refresh_path().into(),
            ],
            answer: explain,
            name: PhantomData,
        })
    }

    /// Answers a refused request by `answer`, such as with a page of the application.
    #[must_use]
    pub fn with_answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }
}

fn explain(_: &HttpRequest) -> HttpResponse {
    HttpResponse::Forbidden()
        .content_type(ContentType::plaintext())
        .body(EXPLANATION)
}

impl<N> Clone for DeviceGuard<N> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy,
            own_routes: self.own_routes.clone(),
            answer: self.answer,
            name: PhantomData,
        }
    }
}

impl<N> fmt::Debug for DeviceGuard<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceGuard")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl<N, S, B> Transform<S, ServiceRequest> for DeviceGuard<N>
where
    N: 'static,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = DeviceGuardService<N, S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(DeviceGuardService {
            service: Rc::new(service),
            guard: self.clone(),
        }))
    }
}

/// A service that [`DeviceGuard`] wraps.
pub struct DeviceGuardService<N, S> {
    service: Rc<S>,
    guard: DeviceGuard<N>,
}

impl<N, S> fmt::Debug for DeviceGuardService<N, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceGuardService")
            .field(&self.guard)
            .finish()
    }
}

impl<N, S, B> Service<ServiceRequest> for DeviceGuardService<N, S>
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
        let (service, guard) = (self.service.clone(), self.guard.clone());
        async move {
            if guard.own_routes.iter().all(|it| **it != *request.path()) {
                let session = request.named_session::<N>().await?;
                let state = session.device_state();
                if state == DeviceState::Unproved
                    && let Some(skipped) = request.headers().get(SKIPPED)
                {
                    session.report_skipped_device(skipped.as_bytes());
                }
                if state != DeviceState::Proved && session.require_device(guard.policy).is_err() {
                    let answer = (guard.answer)(request.request());
                    return Ok(request.into_response(answer).map_into_right_body());
                }
            }
            Ok(service.call(request).await?.map_into_left_body())
        }
        .boxed_local()
    }
}
