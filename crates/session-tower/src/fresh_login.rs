//! Asks for the password again before what is worth it.

use std::{fmt, marker::PhantomData, time::Duration};

use http::{Uri, request::Parts, uri::PathAndQuery};
use session_core::{
    Session,
    adapter::{self, FreshLoginRule, Refusal},
};
use tower_layer::Layer;

use crate::{
    DefaultSession,
    guard::{Guard, GuardService},
    request::original_uri,
};

/// Lets only sessions pass whose user logged in, or proved again who they are, a short time ago.
///
/// The others get a 401, or are redirected to a form and come back. The form's handler checks the
/// password, calls [`reauthenticate`](session_core::Session::reauthenticate), and redirects to
/// [`return_path`]. In axum add this layer before the [`SessionLayer`](crate::SessionLayer).
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, routing::get};
/// use session_tower::{FreshLogin, SessionLayer, session_core::Sessions};
///
/// fn guarded(sessions: Sessions) -> Router {
///     let ten_minutes = FreshLogin::within(Duration::from_secs(600)).or_redirect_to("/confirm");
///     Router::new()
///         .route("/email", get(async || "your new address?").layer(ten_minutes))
///         .layer(SessionLayer::new(sessions))
/// }
/// ```
///
/// In a handler, `session.require_login_within(..)?` answers 401 likewise.
pub struct FreshLogin<N = DefaultSession> {
    rule: FreshLoginRule,
    name: PhantomData<fn() -> N>,
}

impl FreshLogin {
    /// Demands a login, or a reauthentication, of at most this age.
    pub fn within(time: Duration) -> Self {
        Self::named_within(time)
    }
}

impl<N> FreshLogin<N> {
    /// As [`within`](FreshLogin::within), for the session named `N`.
    pub fn named_within(time: Duration) -> Self {
        Self::of(FreshLoginRule::within(time))
    }

    /// Redirects to `form`, such as `/confirm`, with the request's own path and query as the
    /// parameter `next`. Only GET and HEAD are redirected, because a browser cannot come back to
    /// another method with its body; those still get the 401. So guard the page with the form, too.
    #[must_use]
    pub fn or_redirect_to(self, form: &str) -> Self {
        Self::of(self.rule.or_redirect_to(form))
    }

    fn of(rule: FreshLoginRule) -> Self {
        Self {
            rule,
            name: PhantomData,
        }
    }
}

/// Where the form that [`FreshLogin`] redirected to shall lead back to: the parameter `next` of
/// this address of the form, if it is a path of this application. Otherwise `/`.
///
/// A path on another host, such as `//example.org`, is not followed, so the form is no open
/// redirect.
pub fn return_path(form: &Uri) -> String {
    adapter::return_path(form.query())
}

impl<N> Clone for FreshLogin<N> {
    fn clone(&self) -> Self {
        Self::of(self.rule.clone())
    }
}

impl<N> fmt::Debug for FreshLogin<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FreshLogin").field(&self.rule).finish()
    }
}

impl<N: 'static> Guard for FreshLogin<N> {
    type Name = N;

    fn admit(&self, session: &Session, request: &Parts) -> Result<(), Refusal> {
        let own = original_uri(&request.extensions, &request.uri).path_and_query();
        let own = own.map(PathAndQuery::as_str);
        self.rule.admit(session, request.method.as_str(), own)
    }
}

impl<N: 'static, S> Layer<S> for FreshLogin<N> {
    type Service = GuardService<Self, S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService::new(inner, self)
    }
}
