//! The middleware wraps a route twice: one session for clones of one `Sessions`, an error for
//! others with the same cookie name.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    rc::Rc,
};

use actix_web::{
    App, Error, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    guard::fn_guard,
    http::header::{HeaderName, HeaderValue},
    middleware::{Next, from_fn},
    test, web,
};
use futures_util::stream;
use session_actix::{
    Session, SessionError, SessionExt, SessionMiddleware,
    session_core::{CookieAttributes, Sessions, Settings, config::Refresh},
};

use crate::{
    browser::{Browser, act, sessions, settings},
    observed_store::ObservedStore,
};

enum Admin {}

fn with_cookie_name(name: &str) -> Settings {
    settings().with_cookie(CookieAttributes {
        name: name.into(),
        ..CookieAttributes::default()
    })
}

/// Uses the session before the handler and after it.
async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let session = request.session().await?;
    session.update("hits", |n: Option<i64>| n.unwrap_or(0) + 1)?;
    let mut response = next.call(request).await?;
    let session = response.request().session().await?;
    let hits = session.get::<i64>("hits")?;
    let hits = HeaderValue::from(hits.unwrap_or_default());
    response
        .headers_mut()
        .insert(HeaderName::from_static("hits"), hits);
    Ok(response)
}

async fn browser_of(
    outer: Sessions,
    inner: Sessions,
) -> Browser<
    impl Service<actix_http::Request, Response = ServiceResponse<impl MessageBody>, Error = Error>,
> {
    let app = App::new()
        .service(
            web::scope("/in")
                .wrap(SessionMiddleware::new(inner.clone()))
                .route("/{act:.*}", web::get().to(act)),
        )
        .service(
            web::scope("/admin")
                .wrap(SessionMiddleware::<Admin>::named(inner))
                .route("/both", web::get().to(both))
                .route(
                    "/guarded",
                    web::get()
                        .guard(fn_guard(|context| {
                            Session::<Admin>::of_guard(context).is_some()
                        }))
                        .to(HttpResponse::Ok),
                )
                .route("/guarded", web::get().to(HttpResponse::NotFound))
                .route("/streamed", web::get().to(streamed))
                .route("/{act:.*}", web::get().to(act)),
        )
        .route("/{act:.*}", web::get().to(act))
        .wrap(from_fn(count))
        .wrap(SessionMiddleware::new(outer));
    Browser::of(test::init_service(app).await)
}

async fn both(session: Session, admin: Session<Admin>) -> Result<String, SessionError> {
    session.insert("a", &1)?;
    Ok(format!("{:?}", admin.get::<i64>("a")?))
}

async fn streamed(request: HttpRequest) -> HttpResponse {
    HttpResponse::Ok().streaming(stream::once(async move {
        let found = match request.named_session::<Admin>().await {
            Ok(session) => format!("{:?}", session.get::<i64>("hits")),
            Err(error) => error.to_string(),
        };
        Ok::<_, Error>(web::Bytes::from(found))
    }))
}

#[actix_web::test]
async fn the_middleware_twice_has_one_session() {
    let store = ObservedStore::default();
    let both = sessions(settings(), &store);
    let mut browser = browser_of(both.clone(), both).await;
    let response = browser.get("/in/set/a").await;
    assert_eq!(response.set_cookies().len(), 1);
    assert_eq!(store.calls(), 1, "one insert");
    assert_eq!(browser.get("/in/get/a").await.body, "1");
    assert_eq!(store.calls(), 2, "one load, one update");
    browser.get("/in/login/ada").await;
    assert_eq!(browser.get("/who").await.body, "ada");
    assert_eq!(browser.get("/in/get/hits").await.body, "5");
    browser.get("/in/logout").await;
    assert_eq!(browser.get("/in/who").await.body, "nobody");
}

#[actix_web::test]
async fn the_middleware_twice_refreshes_once() {
    let store = ObservedStore::default();
    let both = sessions(settings().with_refresh(Refresh::EveryRequest), &store);
    let mut browser = browser_of(both.clone(), both).await;
    browser.get("/in/set/a").await;
    store.calls();
    assert_eq!(browser.get("/in/get/a").await.set_cookies().len(), 1);
    assert_eq!(store.calls(), 2, "one load, one update");
}

#[actix_web::test]
async fn the_same_sessions_under_two_names_have_one_session() {
    let store = ObservedStore::default();
    let same = sessions(settings(), &store);
    let mut browser = browser_of(same.clone(), same).await;
    let response = browser.get("/admin/both").await;
    assert_eq!(response.body, "Some(1)");
    assert_eq!(response.set_cookies().len(), 1);
    assert_eq!(browser.get("/admin/guarded").await.status.as_u16(), 200);
    assert_eq!(browser.get("/admin/streamed").await.body, "Ok(Some(3))");
}

#[actix_web::test]
async fn other_sessions_with_the_same_cookie_name_are_refused_when_used() {
    let store = ObservedStore::default();
    let every = settings().with_refresh(Refresh::EveryRequest);
    let (outer, inner) = (sessions(settings(), &store), sessions(every, &store));
    let mut browser = browser_of(outer, inner).await;
    for path in ["/in/set/a", "/admin/both"] {
        let response = browser.get(path).await;
        assert_eq!(
            (response.status.as_u16(), &*response.body),
            (500, "Internal Server Error"),
            "{path}"
        );
        assert_eq!(
            response.set_cookies().len(),
            usize::from(path == "/in/set/a"),
            "{path}"
        );
    }
    // A guard finds no session, and a handler that does not use the session is not affected.
    assert_eq!(browser.get("/admin/guarded").await.status.as_u16(), 404);
    assert_eq!(browser.get("/admin/set/a").await.status.as_u16(), 200);
    assert_eq!(browser.get("/get/a").await.body, "1");
    let text = browser.get("/admin/streamed").await.body;
    for part in [
        "the cookie __Host-session",
        "name of its own",
        "clones of one Sessions",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[actix_web::test]
async fn other_sessions_with_their_own_cookie_name_are_used_where_they_wrap() {
    let (store, inners) = (ObservedStore::default(), ObservedStore::default());
    let inner = sessions(with_cookie_name("__Host-other"), &inners);
    let mut browser = browser_of(sessions(settings(), &store), inner).await;
    // `count` uses the outer session before and after the handler.
    let response = browser.get("/in/set/a").await;
    let names: Vec<_> = response
        .set_cookies()
        .iter()
        .map(|it| it.split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["__Host-other", "__Host-session"]);
    assert_eq!(response.header("hits"), Some("1"));
    assert_eq!(browser.get("/get/a").await.body, "none");
}

/// Passes the same request to the inner service twice, as middleware for error pages does.
struct Twice;

impl<S, B> Transform<S, ServiceRequest> for Twice
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = Again<S>;
    type InitError = ();
    type Future = Ready<Result<Again<S>, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Again {
            inner: Rc::new(service),
        }))
    }
}

struct Again<S> {
    inner: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for Again<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let inner = self.inner.clone();
        Box::pin(async move {
            let (request, first) = inner.call(request).await?.into_parts();
            drop(first);
            inner.call(ServiceRequest::from_request(request)).await
        })
    }
}

async fn increment(session: Session) -> Result<String, SessionError> {
    let n = session.update("n", |n: Option<i64>| n.unwrap_or(0) + 1)?;
    Ok(n.to_string())
}

#[actix_web::test]
async fn a_request_that_passes_the_middleware_twice_has_its_session_each_time() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let middleware = || SessionMiddleware::new(sessions.clone());
    let app = App::new()
        .route("/once", web::get().to(increment).wrap(middleware()))
        .service(
            web::resource("/twice")
                .to(increment)
                .wrap(middleware())
                .wrap(Twice),
        );
    let mut browser = Browser::of(test::init_service(app).await);
    for (path, n) in [("/once", "1"), ("/twice", "3"), ("/once", "4")] {
        assert_eq!(browser.get(path).await.body, n, "{path}");
    }
}
