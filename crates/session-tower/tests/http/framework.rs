//! The application of the HTTP tests, in axum.

use std::{convert::Infallible, future::Future};

use axum::{
    Extension,
    body::{self, to_bytes},
    extract::{FromRequestParts, RawPathParams, Request},
    handler::Handler,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response as AxumResponse},
    routing::any,
};
use bytes::Bytes;
use futures_util::stream;
use http::{StatusCode, request::Parts};
pub(crate) use session_tower as adapter;
use session_tower::{
    CrossSiteGuard, DeviceGuard, FreshLogin, SessionExt, SessionLayer, device_routes, return_path,
    session_core::{CrossSiteRule, Sessions, config::ConfigError},
};
pub(crate) use session_tower::{Session, SessionError};
use tower::{ServiceExt, util::BoxCloneSyncService};

use crate::{
    layers::Routes,
    suite::{Admin, Answer, Response, Teapot, observed_store::ObservedStore},
};

/// The body of an answer.
pub(crate) struct Body(body::Body);

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// A body that is made while it is sent.
pub(crate) fn streamed(text: impl Future<Output = String> + Send + 'static) -> Body {
    let chunk = async { Ok::<_, Infallible>(Bytes::from(text.await)) };
    Body(body::Body::from_stream(stream::once(chunk)))
}

/// What a handler sees of its request.
pub(crate) struct Incoming {
    parts: Parts,
    argument: String,
}

impl Incoming {
    /// The part of the path that the route's only pattern stands for.
    pub(crate) fn argument(&self) -> String {
        self.argument.clone()
    }

    pub(crate) fn store(&self) -> ObservedStore {
        self.parts
            .extensions
            .get::<ObservedStore>()
            .unwrap()
            .clone()
    }

    pub(crate) fn return_path(&self) -> String {
        return_path(&self.parts.uri)
    }

    pub(crate) fn session(&self) -> impl Future<Output = Result<Session, SessionError>> + Send {
        self.parts.session()
    }

    pub(crate) fn admin_session(
        &self,
    ) -> impl Future<Output = Result<Session<Admin>, SessionError>> + Send {
        self.parts.named_session()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Incoming {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let found = RawPathParams::from_request_parts(parts, state).await;
        let argument = found.iter().flatten().next().map_or("", |(_, value)| value);
        Ok(Self {
            argument: argument.to_owned(),
            parts: parts.clone(),
        })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> AxumResponse {
        let mut response = AxumResponse::new(self.body.0);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
        for (name, value) in self.headers {
            let name = name.to_ascii_lowercase().parse::<http::HeaderName>();
            let headers = response.headers_mut();
            headers.append(name.unwrap(), value.try_into().unwrap());
        }
        response
    }
}

impl IntoResponse for Teapot {
    fn into_response(self) -> AxumResponse {
        (StatusCode::IM_A_TEAPOT, self.to_string()).into_response()
    }
}

/// An application. A layer wraps what was added before it.
pub(crate) struct App(Routes);

impl App {
    pub(crate) fn new() -> Self {
        Self(Routes::new())
    }

    pub(crate) fn route<T: 'static>(self, path: &str, handler: impl Handler<T, ()>) -> Self {
        Self(self.0.route(path, any(handler)))
    }

    /// A route for fresh logins only.
    pub(crate) fn fresh<T: 'static>(
        self,
        path: &str,
        fresh: FreshLogin,
        handler: impl Handler<T, ()>,
    ) -> Self {
        Self(self.0.route(path, any(handler).layer(fresh)))
    }

    pub(crate) fn nest(self, path: &str, inner: Self) -> Self {
        Self(self.0.nest(path, inner.0))
    }

    pub(crate) fn store(self, store: &ObservedStore) -> Self {
        Self(self.0.layer(Extension(store.clone())))
    }

    pub(crate) fn sessions(self, sessions: Sessions) -> Self {
        Self(self.0.layer(SessionLayer::new(sessions)))
    }

    pub(crate) fn admin_sessions(self, sessions: Sessions) -> Self {
        Self(self.0.layer(SessionLayer::<Admin>::named(sessions)))
    }

    pub(crate) fn guard(self, rule: CrossSiteRule) -> Self {
        Self(self.0.layer(CrossSiteGuard::new(rule)))
    }

    /// The guard, with an answer of the application.
    pub(crate) fn guard_with_teapot(self) -> Self {
        let guard = CrossSiteGuard::default()
            .with_answer(|request| teapot(format!("not {} from there", request.uri.path())));
        Self(self.0.layer(guard))
    }

    /// With the routes that bind devices, in the application's only session.
    pub(crate) fn device_routes(self, sessions: &Sessions) -> Result<Self, ConfigError> {
        Ok(Self(self.0.merge(device_routes(sessions)?)))
    }

    pub(crate) fn device_guard(self, guard: DeviceGuard) -> Self {
        Self(self.0.layer(guard))
    }

    /// The guard, with an answer of the application.
    pub(crate) fn device_guard_with_teapot(self, guard: DeviceGuard) -> Self {
        let answer = |request: &Parts| teapot(format!("not {}", request.uri.path()));
        self.device_guard(guard.with_answer(answer))
    }

    /// Counts the requests in the session, and sends the count in the header `hits`.
    pub(crate) fn counting(self) -> Self {
        Self(self.0.layer(from_fn(count)))
    }

    #[expect(clippy::unused_async, reason = "another framework has to wait here")]
    pub(crate) async fn start(self) -> Running {
        Running(BoxCloneSyncService::new(self.0.into_service()))
    }
}

fn teapot(text: String) -> http::Response<String> {
    let mut answer = http::Response::new(text);
    *answer.status_mut() = StatusCode::IM_A_TEAPOT;
    answer
}

async fn count(
    session: Session,
    request: Request,
    next: Next,
) -> Result<AxumResponse, SessionError> {
    session.update("hits", |n: Option<i64>| n.unwrap_or(0) + 1)?;
    let mut response = next.run(request).await;
    let hits = session.get::<i64>("hits")?.unwrap_or_default();
    response.headers_mut().insert("hits", hits.into());
    Ok(response)
}

/// What a log may show of the layer.
pub(crate) fn shown(sessions: &Sessions) -> String {
    format!("{:?}", SessionLayer::new(sessions.clone()))
}

/// An application that answers requests.
pub(crate) struct Running(BoxCloneSyncService<Request, AxumResponse, Infallible>);

impl Running {
    pub(crate) async fn send(&self, request: http::Request<String>) -> Response {
        let response = self.0.clone().oneshot(request.map(body::Body::from)).await;
        let (parts, body) = response.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Response {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}
