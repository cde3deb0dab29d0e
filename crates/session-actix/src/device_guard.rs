//! Refuses sessions without proof of the device that they are bound to.

use std::{
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
use session_core::{
    Session, Sessions,
    adapter::{DeviceRule, Refusal},
    config::ConfigError,
    dbsc::DevicePolicy,
};

use crate::{
    DefaultSession,
    guard::{Guard, GuardService},
};

/// Lets only sessions pass that prove their device, as a [`DevicePolicy`] says. The others get a 403
/// with an explanation.
///
/// Add it before the [`SessionMiddleware`](crate::SessionMiddleware). The routes of
/// [`device_routes`](crate::device_routes()) always pass. **The routes that log in and out must be
/// outside**, otherwise a user whose browser has lost its key cannot log in again.
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
    rule: DeviceRule,
    name: PhantomData<fn() -> N>,
    answer: Option<fn(&HttpRequest) -> HttpResponse>,
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
        Ok(Self {
            rule: DeviceRule::new(sessions, policy)?,
            answer: None,
            name: PhantomData,
        })
    }

    /// Answers a refused request by `answer`, such as with a page of the application.
    #[must_use]
    pub fn with_answer(mut self, answer: fn(&HttpRequest) -> HttpResponse) -> Self {
        self.answer = Some(answer);
        self
    }
}

impl<N> Clone for DeviceGuard<N> {
    fn clone(&self) -> Self {
        Self {
            rule: self.rule.clone(),
            answer: self.answer,
            name: PhantomData,
        }
    }
}

impl<N> fmt::Debug for DeviceGuard<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceGuard").field(&self.rule).finish()
    }
}

impl<N: 'static> Guard for DeviceGuard<N> {
    type Name = N;

    fn is_about(&self, request: &HttpRequest) -> bool {
        self.rule.is_about(request.path())
    }

    fn admit(&self, session: &Session, request: &HttpRequest) -> Result<(), Refusal> {
        self.rule.admit(session, request.method().as_str())
    }

    fn answer(&self, refusal: &Refusal, request: &HttpRequest) -> HttpResponse {
        let own = self.answer.filter(|_| refusal.is_explained());
        own.map_or_else(|| refusal.actix_response(), |answer| answer(request))
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
    type Transform = GuardService<Self, S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(GuardService::new(service, self)))
    }
}
