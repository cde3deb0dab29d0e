//! What only Actix has around nested middleware: guards, and a request that passes twice.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    rc::Rc,
};

use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    guard::fn_guard,
    middleware::{Next, from_fn},
    web,
};
use session_actix::{Session, SessionError, SessionExt, SessionMiddleware, session_core::Sessions};

use crate::{
    framework::Running,
    suite::{
        Admin,
        browser::{Browser, sessions, settings},
        observed_store::ObservedStore,
    },
};

async fn loaded(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    request.session().await?;
    next.call(request).await
}

async fn guarded(outer: Sessions, inner: Sessions) -> u16 {
    let found = fn_guard(|context| Session::<Admin>::of_guard(context).is_some());
    let app = App::new()
        .service(
            web::scope("/admin")
                .wrap(SessionMiddleware::<Admin>::named(inner))
                .route("/", web::get().guard(found).to(HttpResponse::Ok))
                .route("/", web::get().to(HttpResponse::NotFound)),
        )
        .wrap(from_fn(loaded))
        .wrap(SessionMiddleware::new(outer));
    let mut browser = Browser::at_service(Running::of(app).await);
    browser.get("/admin/").await.status.as_u16()
}

#[tokio::test]
async fn a_guard_finds_the_shared_session_and_none_of_a_refused_middleware() {
    let store = ObservedStore::default();
    let same = sessions(settings(), &store);
    assert_eq!(guarded(same.clone(), same.clone()).await, 200);
    assert_eq!(guarded(same, sessions(settings(), &store)).await, 404);
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

#[tokio::test]
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
    let mut browser = Browser::at_service(Running::of(app).await);
    for (path, n) in [("/once", "1"), ("/twice", "3"), ("/once", "4")] {
        assert_eq!(browser.get(path).await.body, n, "{path}");
    }
}
