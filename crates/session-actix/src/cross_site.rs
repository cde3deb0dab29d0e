//! Refuses requests that another site made a visitor's browser send.

use std::{
    fmt,
    future::{Ready, ready},
    rc::Rc,
};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    error::InternalError,
    http::{
        ConnectionType, StatusCode,
        header::{HOST, HeaderName, HeaderValue, ORIGIN, UPGRADE},
    },
};
use futures_util::future::Either;
use session_core::{CrossSiteRule, RequestSource};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses, with 403, requests that another site made a visitor's browser send.
///
/// [`CrossSiteRule`] is the rule, with the threat that it is made for. Add this middleware after
/// the [`SessionMiddleware`](crate::SessionMiddleware), so that it runs first and a refused request
/// makes no call to the store. A warning in the log names the request's origin and the host: the
/// security event `cross_site_refused`.
///
/// ```
/// use actix_web::{App, HttpServer};
/// use session_actix::{
///     CrossSiteGuard, SessionMiddleware,
///     session_core::{CrossSiteRule, Sessions},
/// };
///
/// fn guarded(sessions: Sessions) {
///     let rule = CrossSiteRule::new();
///     let app = move || {
///         App::new()
///             .wrap(SessionMiddleware::new(sessions.clone()))
///             .wrap(CrossSiteGuard::new(rule.clone()))
///     };
///     let _server = HttpServer::new(app);
/// }
/// ```
///
/// The rule is made once, outside of the closure, so that all workers share how many refusals are
/// logged in a second. With `CrossSiteGuard::default()` in the closure each worker has that number.
///
/// The response is empty, unless [`with_answer`](Self::with_answer) gives another. To middleware
/// that was added later it is an error (`Err`), so that the body of other responses needs no other
/// type. Therefore Actix's `ErrorHandlers`, `DefaultHeaders` and `Logger` do not see it.
#[derive(Clone)]
pub struct CrossSiteGuard {
    rule: Rc<CrossSiteRule>,
    answer: Answer,
}

type Answer = fn(&HttpRequest) -> HttpResponse;

impl Default for CrossSiteGuard {
    fn default() -> Self {
        Self::new(CrossSiteRule::new())
    }
}

impl CrossSiteGuard {
    /// The guard with `rule`, which may have exceptions. The default has none.
    pub fn new(rule: CrossSiteRule) -> Self {
        Self {
            rule: Rc::new(rule),
            answer: |_| HttpResponse::new(StatusCode::FORBIDDEN),
        }
    }

    /// Answers a refused request by `answer`, such as with a page that explains it.
    #[must_use]
    pub fn with_answer(mut self, answer: fn(&HttpRequest) -> HttpResponse) -> Self {
        self.answer = answer;
        self
    }
}

impl fmt::Debug for CrossSiteGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CrossSiteGuard").field(&self.rule).finish()
    }
}

impl<S, B> Transform<S, ServiceRequest> for CrossSiteGuard
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = CrossSiteService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(CrossSiteService {
            service,
            guard: self.clone(),
        }))
    }
}

/// Why the request failed, for middleware that looks at errors.
const REFUSED: &str = "another site made the browser send the request";

/// A service that [`CrossSiteGuard`] wraps.
pub struct CrossSiteService<S> {
    service: S,
    guard: CrossSiteGuard,
}

impl<S> fmt::Debug for CrossSiteService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CrossSiteService")
            .field(&self.guard)
            .finish()
    }
}

impl<S, B> Service<ServiceRequest> for CrossSiteService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = CrossSiteFuture<S::Future, ServiceResponse<B>>;

    forward_ready!(service);

    #[inline]
    fn call(&self, request: ServiceRequest) -> Self::Future {
        // Actix has parsed `Connection` already. Without `Upgrade` in it no handshake is accepted,
        // and looking `Upgrade` up would cost each request as much as all the rest of this guard.
        let upgrades = request.head().connection_type() == ConnectionType::Upgrade;
        let upgrade = upgrades.then(|| request.headers().get(UPGRADE)).flatten();
        let upgrade = upgrade.map(HeaderValue::as_bytes);
        let passes = !CrossSiteRule::judges(request.method().as_str(), upgrade)
            || admits(&self.guard.rule, &request);
        if passes {
            return Either::Left(self.service.call(request));
        }
        let answer = (self.guard.answer)(request.request());
        Either::Right(ready(Err(
            InternalError::from_response(REFUSED, answer).into()
        )))
    }
}

fn admits(rule: &CrossSiteRule, request: &ServiceRequest) -> bool {
    let header = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    let authority = request.uri().authority().map(|it| it.as_str().as_bytes());
    let host = authority.or_else(|| header(HOST));
    let (sec_fetch_site, origin) = (header(SEC_FETCH_SITE), header(ORIGIN));
    let source = RequestSource {
        method: request.method().as_str(),
        path: request.uri().path(),
        host,
        upgrade: header(UPGRADE),
        sec_fetch_site,
        origin,
    };
    rule.admits(&source, || request.match_pattern())
}

/// The future of a response that [`CrossSiteGuard`] let pass or refused.
pub type CrossSiteFuture<F, R> = Either<F, Ready<Result<R, Error>>>;
