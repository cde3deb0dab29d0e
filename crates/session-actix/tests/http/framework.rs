//! The application of the HTTP tests, in Actix Web.

use std::{future::Future, rc::Rc};

use actix_web::{
    App as ActixApp, Error, FromRequest, Handler, HttpRequest, HttpResponse, Responder,
    ResponseError, Scope,
    body::{self, BoxBody, MessageBody},
    dev::{Payload, Service, ServiceFactory, ServiceRequest, ServiceResponse},
    http::{ConnectionType, Method, StatusCode, header::HeaderValue},
    middleware::{Next, from_fn},
    test, web,
};
use futures_util::{
    future::{LocalBoxFuture, Ready, ready},
    stream,
};
pub(crate) use session_actix as adapter;
use session_actix::{
    CrossSiteGuard, DeviceGuard, FreshLogin, SessionExt, SessionMiddleware, device_routes,
    return_path,
    session_core::{CrossSiteRule, Sessions, config::ConfigError},
};
pub(crate) use session_actix::{Session, SessionError};

use crate::suite::{Admin, Answer, Response, Teapot, observed_store::ObservedStore};

/// The body of an answer.
pub(crate) struct Body(BoxBody);

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(BoxBody::new(text))
    }
}

/// A body that is made while it is sent.
pub(crate) fn streamed(text: impl Future<Output = String> + 'static) -> Body {
    let chunk = async { Ok::<_, Error>(web::Bytes::from(text.await)) };
    Body(BoxBody::new(body::BodyStream::new(stream::once(Box::pin(
        chunk,
    )))))
}

/// What a handler sees of its request.
pub(crate) struct Incoming(HttpRequest);

impl Incoming {
    /// The part of the path that the route's only pattern stands for.
    pub(crate) fn argument(&self) -> String {
        let mut found = self.0.match_info().iter();
        found.next().map_or("", |(_, value)| value).to_owned()
    }

    pub(crate) fn store(&self) -> ObservedStore {
        ObservedStore::clone(self.0.app_data::<web::Data<_>>().unwrap())
    }

    pub(crate) fn return_path(&self) -> String {
        return_path(&self.0)
    }

    pub(crate) fn session(&self) -> impl Future<Output = Result<Session, SessionError>> {
        self.0.session()
    }

    pub(crate) fn admin_session(
        &self,
    ) -> impl Future<Output = Result<Session<Admin>, SessionError>> {
        self.0.named_session()
    }
}

impl FromRequest for Incoming {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.clone())))
    }
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap();
        let mut response = HttpResponse::build(status);
        for header in self.headers {
            response.append_header(header);
        }
        response.body(self.body.0)
    }
}

impl ResponseError for Teapot {
    fn status_code(&self) -> StatusCode {
        StatusCode::IM_A_TEAPOT
    }
}

/// An application. A layer wraps what was added before it.
pub(crate) struct App(Scope);

impl App {
    pub(crate) fn new() -> Self {
        Self(web::scope(""))
    }

    pub(crate) fn route<F, Args>(self, path: &str, handler: F) -> Self
    where
        F: Handler<Args, Output: Responder + 'static>,
        Args: FromRequest + 'static,
    {
        let path = path.replace("{*act}", "{act:.*}");
        Self(self.0.route(&path, web::route().to(handler)))
    }

    /// A route for fresh logins only.
    pub(crate) fn fresh<F, Args>(self, path: &str, fresh: FreshLogin, handler: F) -> Self
    where
        F: Handler<Args, Output: Responder + 'static>,
        Args: FromRequest + 'static,
    {
        Self(self.0.service(web::resource(path).wrap(fresh).to(handler)))
    }

    pub(crate) fn nest(self, path: &str, inner: Self) -> Self {
        Self(self.0.service(web::scope(path).service(inner.0)))
    }

    pub(crate) fn store(self, store: &ObservedStore) -> Self {
        Self(self.0.app_data(web::Data::new(store.clone())))
    }

    pub(crate) fn sessions(self, sessions: Sessions) -> Self {
        let middleware = SessionMiddleware::new(sessions);
        Self(web::scope("").service(self.0.wrap(middleware)))
    }

    pub(crate) fn admin_sessions(self, sessions: Sessions) -> Self {
        let middleware = SessionMiddleware::<Admin>::named(sessions);
        Self(web::scope("").service(self.0.wrap(middleware)))
    }

    pub(crate) fn guard(self, rule: CrossSiteRule) -> Self {
        let guard = CrossSiteGuard::new(rule);
        Self(web::scope("").service(self.0.wrap(guard)))
    }

    /// The guard, with an answer of the application.
    pub(crate) fn guard_with_teapot(self) -> Self {
        let guard = CrossSiteGuard::default().with_answer(|request| {
            HttpResponse::ImATeapot().body(format!("not {} from there", request.path()))
        });
        Self(web::scope("").service(self.0.wrap(guard)))
    }

    /// With the routes that bind devices, in the application's only session.
    pub(crate) fn device_routes(self, sessions: &Sessions) -> Result<Self, ConfigError> {
        Ok(Self(self.0.configure(device_routes(sessions)?)))
    }

    pub(crate) fn device_guard(self, guard: DeviceGuard) -> Self {
        Self(web::scope("").service(self.0.wrap(guard)))
    }

    /// The guard, with an answer of the application.
    pub(crate) fn device_guard_with_teapot(self, guard: DeviceGuard) -> Self {
        self.device_guard(guard.with_answer(|request| {
            HttpResponse::ImATeapot().body(format!("not {}", request.path()))
        }))
    }

    /// Counts the requests in the session, and sends the count in the header `hits`.
    pub(crate) fn counting(self) -> Self {
        Self(web::scope("").service(self.0.wrap(from_fn(count))))
    }

    pub(crate) async fn start(self) -> Running {
        Running::of(ActixApp::new().service(self.0)).await
    }
}

async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let session = request.session().await?;
    session.update("hits", |n: Option<i64>| n.unwrap_or(0) + 1)?;
    let mut response = next.call(request).await?;
    let session = response.request().session().await?;
    let hits = HeaderValue::from(session.get::<i64>("hits")?.unwrap_or_default());
    response.headers_mut().insert("hits".parse().unwrap(), hits);
    Ok(response)
}

/// What a log may show of the middleware.
pub(crate) fn shown(sessions: &Sessions) -> String {
    format!("{:?}", SessionMiddleware::new(sessions.clone()))
}

type Send = dyn Fn(http::Request<String>) -> LocalBoxFuture<'static, Response>;

/// An application that answers requests.
pub(crate) struct Running(Box<Send>);

impl Running {
    pub(crate) async fn of<F, B>(app: ActixApp<F>) -> Self
    where
        F: ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse<B>,
                Error = Error,
                InitError = (),
            > + 'static,
        B: MessageBody + 'static,
    {
        let service = Rc::new(test::init_service(app).await);
        Self(Box::new(move |request| {
            let service = service.clone();
            Box::pin(async move {
                let answered = service.call(actix_request(request)).await;
                let response = match answered {
                    Ok(response) => response.map_into_boxed_body().into_parts().1,
                    Err(error) => error.error_response(),
                };
                received(response).await
            })
        }))
    }

    pub(crate) async fn send(&self, request: http::Request<String>) -> Response {
        (self.0)(request).await
    }
}

fn actix_request(request: http::Request<String>) -> actix_http::Request {
    let (parts, payload) = request.into_parts();
    let mut made = test::TestRequest::with_uri(&parts.uri.to_string())
        .method(Method::from_bytes(parts.method.as_str().as_bytes()).unwrap())
        .set_payload(payload);
    let mut upgrades = false;
    for (name, value) in &parts.headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        upgrades |= name == "connection" && value.to_str().unwrap().contains("Upgrade");
        made = made.append_header((name.as_str(), value));
    }
    let mut made = made.to_request();
    if upgrades {
        // What a server makes of `Connection: keep-alive, Upgrade`.
        made.head_mut().set_connection_type(ConnectionType::Upgrade);
    }
    made
}

async fn received(response: HttpResponse) -> Response {
    let status = http::StatusCode::from_u16(response.status().as_u16()).unwrap();
    let headers = response.headers().iter().map(|(name, value)| {
        let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        (name.as_str().parse().unwrap(), value)
    });
    let headers = headers.collect();
    let body = body::to_bytes(response.into_body()).await;
    let body = String::from_utf8(body.unwrap_or_default().to_vec()).unwrap();
    Response {
        status,
        headers,
        body,
    }
}
