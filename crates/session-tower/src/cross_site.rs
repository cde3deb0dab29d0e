//! Refuses requests that another site made a visitor's browser send.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{HOST, ORIGIN, UPGRADE},
    request::Parts,
};
use pin_project_lite::pin_project;
use session_core::{CrossSiteRule, RequestSource};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    request::{original_uri, route},
    response::{answer_to, is_head},
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses, with 403, requests that another site made a visitor's browser send.
///
/// [`CrossSiteRule`] is the rule, with the threat that it is made for. In axum add this layer after
/// the [`SessionLayer`](crate::SessionLayer), so that it runs first and a refused request makes no
/// call to the store. A warning in the log names the request's origin and the host: the security
/// event `cross_site_refused`.
///
/// ```
/// use axum::Router;
/// use session_tower::{CrossSiteGuard, SessionLayer, session_core::Sessions};
///
/// fn guarded(sessions: Sessions) -> Router {
///     Router::new()
///         .layer(SessionLayer::new(sessions))
///         .layer(CrossSiteGuard::default())
/// }
/// ```
///
/// The response is empty, unless [`with_answer`](Self::with_answer) gives another.
#[derive(Clone)]
pub struct CrossSiteGuard {
    rule: Arc<CrossSiteRule>,
    answer: Answer,
}

type Answer = fn(&Parts) -> Response<String>;

impl Default for CrossSiteGuard {
    fn default() -> Self {
        Self::new(CrossSiteRule::new())
    }
}

impl CrossSiteGuard {
    /// The guard with `rule`, which may have exceptions. The default has none.
    pub fn new(rule: CrossSiteRule) -> Self {
        Self {
            rule: Arc::new(rule),
            answer: |_| {
                let mut answer = Response::new(String::new());
                *answer.status_mut() = StatusCode::FORBIDDEN;
                answer
            },
        }
    }

    /// Answers a refused request by `answer`, such as with a page that explains it.
    #[must_use]
    pub fn with_answer(mut self, answer: fn(&Parts) -> Response<String>) -> Self {
        self.answer = answer;
        self
    }
}

impl<S> Layer<S> for CrossSiteGuard {
    type Service = CrossSiteService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CrossSiteService {
            inner,
            guard: self.clone(),
        }
    }
}

impl fmt::Debug for CrossSiteGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CrossSiteGuard").field(&self.rule).finish()
    }
}

/// A service that [`CrossSiteGuard`] wraps.
#[derive(Clone, Debug)]
pub struct CrossSiteService<S> {
    pub(crate) inner: S,
    pub(crate) guard: CrossSiteGuard,
}

impl<S, Q, B> Service<Request<Q>> for CrossSiteService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: From<String>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = CrossSiteFuture<S::Future, Response<B>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let upgrade = request.headers().get(UPGRADE).map(HeaderValue::as_bytes);
        let step = if !CrossSiteRule::judges(request.method().as_str(), upgrade)
            || admits(&self.guard.rule, &request)
        {
            Step::Handling {
                handling: self.inner.call(request),
            }
        } else {
            let is_head = is_head(&request);
            let answer = (self.guard.answer)(&request.into_parts().0);
            Step::Refused {
                answer: Some(answer_to(is_head, answer)),
            }
        };
        CrossSiteFuture { step }
    }
}

fn admits<Q>(rule: &CrossSiteRule, request: &Request<Q>) -> bool {
    let header = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    let uri = original_uri(request.extensions(), request.uri());
    let authority = uri.authority().map(|it| it.as_str().as_bytes());
    let source = RequestSource {
        method: request.method().as_str(),
        path: uri.path(),
        host: authority.or_else(|| header(HOST)),
        upgrade: header(UPGRADE),
        sec_fetch_site: header(SEC_FETCH_SITE),
        origin: header(ORIGIN),
    };
    rule.admits(&source, || route(request.extensions()))
}

pin_project! {
    /// The future of a response that [`CrossSiteGuard`] let pass or refused.
    pub struct CrossSiteFuture<F, R> {
        #[pin]
        step: Step<F, R>,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<F, R> {
        Handling { #[pin] handling: F },
        Refused { answer: Option<R> },
    }
}

impl<F, R, E> Future for CrossSiteFuture<F, R>
where
    F: Future<Output = Result<R, E>>,
{
    type Output = Result<R, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepNow::Handling { handling } => handling.poll(context),
            StepNow::Refused { answer } => {
                Poll::Ready(Ok(answer.take().expect("not polled after its end")))
            }
        }
    }
}

impl<F, R> fmt::Debug for CrossSiteFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrossSiteFuture").finish_non_exhaustive()
    }
}
