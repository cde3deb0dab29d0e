//! Asks for the password again before what is worth it.

use std::{
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    time::Duration,
};

use actix_web::{
    Error, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    http::uri::PathAndQuery,
};
use session_core::{
    Session,
    adapter::{self, FreshLoginRule, Refusal},
};

use crate::{
    DefaultSession,
    guard::{Guard, GuardService},
};

/// Lets only sessions pass whose user logged in, or proved again who they are, a short time ago.
///
/// The others get a 401, or are redirected to a form and come back. The form's handler checks the
/// password, calls [`reauthenticate`](session_core::Session::reauthenticate), and redirects to
/// [`return_path`]. Visitors who are not logged in at all are among the others: let the form's
/// handlers send them on to the log-in, with the same query. Add this middleware before the
/// [`SessionMiddleware`](crate::SessionMiddleware).
///
/// ```
/// use std::time::Duration;
///
/// use actix_web::{App, HttpResponse, web};
/// use session_actix::{FreshLogin, SessionMiddleware, session_core::Sessions};
///
/// fn guarded(sessions: Sessions) {
///     let ten_minutes = FreshLogin::within(Duration::from_secs(600)).or_redirect_to("/confirm");
///     App::new()
///         .service(web::resource("/email").wrap(ten_minutes).get(HttpResponse::Ok))
///         .wrap(SessionMiddleware::new(sessions));
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
        Self {
            rule: FreshLoginRule::within(time),
            name: PhantomData,
        }
    }

    /// Redirects to `form`, such as `/confirm`, with the request's own path and query as the
    /// parameter `next`. Only GET and HEAD are redirected, because a browser cannot come back to
    /// another method with its body; those still get the 401. So guard the page with the form, too.
    #[must_use]
    pub fn or_redirect_to(mut self, form: &str) -> Self {
        self.rule = self.rule.or_redirect_to(form);
        self
    }
}

/// Where the form that [`FreshLogin`] redirected to shall lead back to: the parameter `next` of
/// this request's address, if it is a path of this application. Otherwise `/`.
///
/// A path on another host, such as `//example.org`, is not followed, so the form is no open
/// redirect.
pub fn return_path(request: &HttpRequest) -> String {
    adapter::return_path(request.uri().query())
}

impl<N> Clone for FreshLogin<N> {
    fn clone(&self) -> Self {
        Self {
            rule: self.rule.clone(),
            name: PhantomData,
        }
    }
}

impl<N> fmt::Debug for FreshLogin<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FreshLogin").field(&self.rule).finish()
    }
}

impl<N: 'static> Guard for FreshLogin<N> {
    type Name = N;

    fn admit(&self, session: &Session, request: &HttpRequest) -> Result<(), Refusal> {
        let own = request.uri().path_and_query().map(PathAndQuery::as_str);
        self.rule.admit(session, request.method().as_str(), own)
    }
}

impl<N, S, B> Transform<S, ServiceRequest> for FreshLogin<N>
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
