//! Refuses sessions without proof of the device that they are bound to.

use std::{fmt, marker::PhantomData};

use http::{Response, request::Parts};
use session_core::{
    Session, Sessions,
    adapter::{DeviceRule, Refusal},
    config::ConfigError,
    dbsc::DevicePolicy,
};
use tower_layer::Layer;

use crate::{
    DefaultSession,
    guard::{Guard, GuardService},
    request::original_uri,
};

/// Lets only sessions pass that prove their device, as a [`DevicePolicy`] says. The others get a 403
/// with an explanation.
///
/// In axum add this layer before the [`SessionLayer`](crate::SessionLayer). The two routes of the
/// [`DeviceBinding`](session_core::dbsc::DeviceBinding) always pass. **The routes that log in and
/// out must be outside**, otherwise a user whose browser has lost its key cannot log in again.
///
/// ```
/// use axum::{Router, routing::post};
/// use session_tower::{
///     DeviceGuard, SessionLayer,
///     session_core::{Sessions, config::ConfigError, dbsc::DevicePolicy},
/// };
///
/// fn guarded(sessions: Sessions) -> Result<Router, ConfigError> {
///     let guard = DeviceGuard::new(&sessions, DevicePolicy::Require)?;
///     Ok(Router::new()
///         .route("/transfer", post(async || "done").layer(guard))
///         .layer(SessionLayer::new(sessions)))
/// }
/// ```
pub struct DeviceGuard<N = DefaultSession> {
    rule: DeviceRule,
    name: PhantomData<fn() -> N>,
    answer: Option<fn(&Parts) -> Response<String>>,
}

impl DeviceGuard {
    /// The layer with this policy.
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
        let rule = DeviceRule::new(sessions, policy)?;
        Ok(Self::of(rule, None))
    }

    /// Answers a refused request by `answer`, such as with a page of the application.
    #[must_use]
    pub fn with_answer(self, answer: fn(&Parts) -> Response<String>) -> Self {
        Self::of(self.rule, Some(answer))
    }

    fn of(rule: DeviceRule, answer: Option<fn(&Parts) -> Response<String>>) -> Self {
        Self {
            rule,
            answer,
            name: PhantomData,
        }
    }
}

impl<N> Clone for DeviceGuard<N> {
    fn clone(&self) -> Self {
        Self::of(self.rule.clone(), self.answer)
    }
}

impl<N> fmt::Debug for DeviceGuard<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceGuard").field(&self.rule).finish()
    }
}

impl<N: 'static> Guard for DeviceGuard<N> {
    type Name = N;

    fn is_about(&self, request: &Parts) -> bool {
        let uri = original_uri(&request.extensions, &request.uri);
        self.rule.is_about(uri.path())
    }

    fn admit(&self, session: &Session, request: &Parts) -> Result<(), Refusal> {
        self.rule.admit(session, request.method.as_str())
    }

    fn answer(&self, refusal: &Refusal, request: &Parts) -> Response<String> {
        let own = self.answer.filter(|_| refusal.is_explained());
        own.map_or_else(|| refusal.to_response(), |answer| answer(request))
    }
}

impl<N: 'static, S> Layer<S> for DeviceGuard<N> {
    type Service = GuardService<Self, S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService::new(inner, self)
    }
}
