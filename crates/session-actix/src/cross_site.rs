//! Refuses requests that another site made a visitor's browser send.

use std::{
    fmt,
    future::{Future, Ready, ready},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready as ready_or_return},
};

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{
        StatusCode,
        header::{HOST, HeaderName, HeaderValue, ORIGIN, UPGRADE},
    },
};
use pin_project_lite::pin_project;
use session_core::{CrossSiteRule, RequestSource};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses, with 403, requests that another site made a visitor's browser send.
///
/// [`CrossSiteRule`] is the rule, with the threat that it is made for. Add this middleware after the
/// [`SessionMiddleware`](crate::SessionMiddleware), so that it runs first and a refused request
/// makes no call to the store. A warning in the log names the request's origin and the host.
///
/// ```
/// use actix_web::App;
/// use session_actix::{CrossSiteGuard, SessionMiddleware, session_core::Sessions};
///
/// fn guarded(sessions: Sessions) {
///     App::new()
///         .wrap(SessionMiddleware::new(sessions))
///         .wrap(CrossSiteGuard::default());
/// }
/// ```
///
/// The response is empty. To answer otherwise, add Actix's `ErrorHandlers` after this middleware.
#[derive(Clone, Debug, Default)]
pub struct CrossSiteGuard {
    rule: Rc<CrossSiteRule>,
}

impl CrossSiteGuard {
    /// The guard with `rule`, which may have exceptions. The default has none.
    pub fn new(rule: CrossSiteRule) -> Self {
        Self {
            rule: Rc::new(rule),
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for CrossSiteGuard
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = CrossSiteService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(CrossSiteService {
            service,
            rule: self.rule.clone(),
        }))
    }
}

/// A service that [`CrossSiteGuard`] wraps.
pub struct CrossSiteService<S> {
    service: S,
    rule: Rc<CrossSiteRule>,
}

impl<S> fmt::Debug for CrossSiteService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CrossSiteService").field(&self.rule).finish()
    }
}

impl<S, B> Service<ServiceRequest> for CrossSiteService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = CrossSiteFuture<S::Future>;

    forward_ready!(service);

    #[inline]
    fn call(&self, request: ServiceRequest) -> Self::Future {
        let upgrade = request.headers().get(UPGRADE).map(HeaderValue::as_bytes);
        let passes = !CrossSiteRule::judges(request.method().as_str(), upgrade)
            || allows(&self.rule, &request);
        let step = if passes {
            Step::Handling {
                handling: self.service.call(request),
            }
        } else {
            Step::Refused {
                request: Some(request),
            }
        };
        CrossSiteFuture { step }
    }
}

fn allows(rule: &CrossSiteRule, request: &ServiceRequest) -> bool {
    let header = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    let authority = request.uri().authority().map(|it| it.as_str().as_bytes());
    let host = authority.or_else(|| header(HOST));
    let (sec_fetch_site, origin) = (header(SEC_FETCH_SITE), header(ORIGIN));
    let allowed = rule.allows(&RequestSource {
        method: request.method().as_str(),
        path: request.uri().path(),
        host,
        upgrade: header(UPGRADE),
        sec_fetch_site,
        origin,
    });
    if !allowed {
        tracing::warn!(
            origin = shown(origin),
            host = shown(host),
            sec_fetch_site = shown(sec_fetch_site),
            route = request.match_pattern(),
            "a request from another site was refused"
        );
    }
    allowed
}

/// A header as it may be in the log, whoever sent it: at most 100 characters, and nothing that can
/// begin a line of its own.
fn shown(header: Option<&[u8]>) -> Option<String> {
    let text = String::from_utf8_lossy(header?);
    Some(text.escape_debug().take(100).collect())
}

pin_project! {
    /// The future of a response that [`CrossSiteGuard`] let pass or refused.
    pub struct CrossSiteFuture<F> {
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<F> {
        Handling { #[pin] handling: F },
        Refused { request: Option<ServiceRequest> },
    }
}

impl<F, B> Future for CrossSiteFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepNow::Handling { handling } => {
                let result = ready_or_return!(handling.poll(context));
                Poll::Ready(result.map(ServiceResponse::map_into_left_body))
            }
            StepNow::Refused { request } => {
                let request = request.take().expect("a response is sent once");
                let refusal = HttpResponse::new(StatusCode::FORBIDDEN);
                Poll::Ready(Ok(request.into_response(refusal).map_into_right_body()))
            }
        }
    }
}

impl<F> fmt::Debug for CrossSiteFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrossSiteFuture").finish_non_exhaustive()
    }
}
