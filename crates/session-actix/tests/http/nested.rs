//! The middleware around a route more than once: one session where they are the same, an error
//! where they cannot both be.

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
    observed::ObservedStore,
};

enum Admin {}

fn called(name: &str) -> Settings {
    settings().with_cookie(CookieAttributes {
        name: name.into(),
        ..CookieAttributes::default()
    })
}

/// Uses the session before the handler and looks at it again behind it.
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
    Browser::before(test::init_service(app).await)
}

async fn both(session: Session, admin: Session<Admin>) -> Result<String, SessionError> {
    session.insert("a", &1)?;
    Ok(format!("{:?}", admin.get::<i64>("a")?))
}

async fn streamed(request: HttpRequest) -> HttpResponse {
    HttpResponse::Ok().streaming(stream::once(async move {
        let seen = match request.named_session::<Admin>().await {
            Ok(session) => format!("{:?}", session.get::<i64>("hits")),
            Err(error) => error.to_string(),
        };
        Ok::<_, Error>(web::Bytes::from(seen))
    }))
}

#[actix_web::test]
async fn the_middleware_twice_is_one_session() {
    let store = ObservedStore::default();
    let both = sessions(settings(), &store);
    let mut browser = browser_of(both.clone(), both).await;
    let answer = browser.get("/in/set/a").await;
    assert_eq!(answer.set_cookies().len(), 1);
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
async fn the_middleware_twice_moves_an_expiry_once() {
    let store = ObservedStore::default();
    let both = sessions(settings().with_refresh(Refresh::EveryRequest), &store);
    let mut browser = browser_of(both.clone(), both).await;
    browser.get("/in/set/a").await;
    store.calls();
    assert_eq!(browser.get("/in/get/a").await.set_cookies().len(), 1);
    assert_eq!(store.calls(), 2, "one load, one move");
}

#[actix_web::test]
async fn the_same_sessions_under_two_names_are_one_session() {
    let store = ObservedStore::default();
    let same = sessions(settings(), &store);
    let mut browser = browser_of(same.clone(), same).await;
    let answer = browser.get("/admin/both").await;
    assert_eq!(answer.body, "Some(1)");
    assert_eq!(answer.set_cookies().len(), 1);
    assert_eq!(browser.get("/admin/guarded").await.status.as_u16(), 200);
    assert_eq!(browser.get("/admin/streamed").await.body, "Ok(Some(3))");
}

#[actix_web::test]
async fn other_sessions_with_the_same_cookie_are_refused_when_they_are_asked_for() {
    let store = ObservedStore::default();
    let every = settings().with_refresh(Refresh::EveryRequest);
    let (outer, inner) = (sessions(settings(), &store), sessions(every, &store));
    let mut browser = browser_of(outer, inner).await;
    for path in ["/in/set/a", "/admin/both"] {
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.body),
            (500, "Internal Server Error"),
            "{path}"
        );
        assert_eq!(
            answer.set_cookies().len(),
            usize::from(path == "/in/set/a"),
            "{path}"
        );
    }
    // A guard finds no such session, and whoever does not ask for it does not notice.
    assert_eq!(browser.get("/admin/guarded").await.status.as_u16(), 404);
    assert_eq!(browser.get("/admin/set/a").await.status.as_u16(), 200);
    assert_eq!(browser.get("/get/a").await.body, "1");
    let said = browser.get("/admin/streamed").await.body;
    for part in [
        "the cookie __Host-session",
        "name of its own",
        "clones of one Sessions",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[actix_web::test]
async fn other_sessions_with_a_cookie_of_their_own_are_used_where_they_wrap() {
    let (store, inners) = (ObservedStore::default(), ObservedStore::default());
    let inner = sessions(called("__Host-other"), &inners);
    let mut browser = browser_of(sessions(settings(), &store), inner).await;
    // `count` looks at the outer one before and behind the handler.
    let answer = browser.get("/in/set/a").await;
    let names: Vec<_> = answer
        .set_cookies()
        .iter()
        .map(|it| it.split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["__Host-other", "__Host-session"]);
    assert_eq!(answer.header("hits"), Some("1"));
    assert_eq!(browser.get("/get/a").await.body, "none");
}

/// Gives the same request to the inner service twice, as one that answers with another page does.
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
async fn a_request_that_is_answered_twice_has_its_session_each_time() {
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
    let mut browser = Browser::before(test::init_service(app).await);
    for (path, n) in [("/once", "1"), ("/twice", "3"), ("/once", "4")] {
        assert_eq!(browser.get(path).await.body, n, "{path}");
    }
}
