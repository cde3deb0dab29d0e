//! Services that are no handlers of axum: other bodies, other errors, nested routers.

use std::time::Duration;

use axum::{
    Router,
    routing::{any, get},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header::LOCATION};
use http_body_util::{BodyExt as _, Full};
use session_tower::{
    CrossSiteGuard, DefaultSession, DeviceGuard, FreshLogin, Session, SessionError,
    SessionExt as _, SessionLayer, return_path,
    session_core::{
        CrossSiteRule, Sessions,
        dbsc::{DeviceBinding, DevicePolicy},
    },
};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::suite::{
    browser::{sessions, settings},
    observed_store::ObservedStore,
};

/// The error of a service that gives up, such as a timeout.
#[derive(Debug, PartialEq)]
struct GaveUp;

fn request(path: &str, cookie: &str) -> Request<()> {
    let request = Request::get(path).header("cookie", cookie);
    request.body(()).unwrap()
}

/// A service without axum. Its path says what it does.
async fn work(request: Request<()>) -> Result<Response<Full<Bytes>>, GaveUp> {
    let session = request.session().await.unwrap();
    match request.uri().path() {
        "/set" => session.insert("a", &1).unwrap(),
        "/set-and-give-up" => {
            session.insert("a", &2).unwrap();
            return Err(GaveUp);
        }
        "/log-out-and-give-up" => {
            session.log_out();
            return Err(GaveUp);
        }
        "/save-and-give-up" => {
            session.insert("a", &3).unwrap();
            let _saved = session.save().await.unwrap();
            return Err(GaveUp);
        }
        _ => {}
    }
    let loaded = request.loaded_session::<DefaultSession>().unwrap();
    let found = loaded.get::<i64>("a").unwrap();
    Ok(Response::new(format!("{found:?}").into()))
}

#[tokio::test]
async fn a_service_without_axum_has_the_session() {
    let store = ObservedStore::default();
    let sessions = sessions(settings(), &store);
    let service = SessionLayer::new(sessions.clone()).layer(service_fn(work));
    let cookie = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
    let response = service.clone().oneshot(request("/set", &cookie)).await;
    let body = response.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "Some(1)");
    let saved = service.clone().oneshot(request("/", &cookie)).await;
    let body = saved.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "Some(1)");
    store.fail_updates();
    let refused = service
        .oneshot(request("/set-again", &cookie))
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::OK, "nothing changed");
}

#[tokio::test]
async fn a_failed_save_is_the_response_of_a_service_without_axum() {
    let store = ObservedStore::default();
    let sessions = sessions(settings(), &store);
    let service = SessionLayer::new(sessions.clone()).layer(service_fn(work));
    let cookie = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
    store.fail_updates();
    let response = service.oneshot(request("/set", &cookie)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "Service Unavailable");
}

#[tokio::test]
async fn if_the_service_gives_up_its_log_out_is_done_and_its_changes_are_not_saved() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let service = SessionLayer::new(sessions.clone()).layer(service_fn(work));
    for (path, left) in [
        ("/set-and-give-up", Some("None")),
        ("/save-and-give-up", Some("Some(3)")),
        ("/log-out-and-give-up", None),
    ] {
        let cookie = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
        let gave_up = service.clone().oneshot(request(path, &cookie)).await;
        assert_eq!(gave_up.unwrap_err(), GaveUp);
        // The log-out runs in a task.
        let lost = session_tower::finish_saves(Duration::from_secs(5)).await;
        assert_eq!(lost, 0);
        let live = sessions.owner_sessions("ada").await.unwrap();
        assert_eq!(live.len(), usize::from(left.is_some()), "{path}");
        if let Some(left) = left {
            let found = service.clone().oneshot(request("/", &cookie)).await;
            let body = found.unwrap().into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), left, "{path}");
            sessions.log_out_everywhere("ada").await.unwrap();
        }
    }
}

#[tokio::test]
async fn in_a_nested_router_paths_are_those_that_the_client_sent() {
    let binding = DeviceBinding::new("/user/bind", "/refresh");
    let settings = settings().with_device_binding(binding);
    let sessions = sessions(settings, &ObservedStore::default());
    let bound = DeviceGuard::new(&sessions, DevicePolicy::Require).unwrap();
    let for_devices = Router::new()
        .route("/bind", any(async || "a route of the binding"))
        .route("/refresh", any(async || "none"))
        .layer(bound);
    let rule = CrossSiteRule::new().leave_path_open_to_other_sites("/hooks");
    let inner = Router::new()
        .route("/hooks", any(async || "hooked"))
        .route("/email", get(async || "your new address?"))
        .layer(FreshLogin::within(Duration::from_secs(60)).or_redirect_to("/confirm?of=ada"))
        .merge(for_devices)
        .layer(CrossSiteGuard::new(rule.unwrap()));
    let app = Router::new()
        .nest("/user", inner)
        .layer(SessionLayer::new(sessions));
    let send = async |request: http::request::Builder| {
        let request = request.body(axum::body::Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap()
    };
    let away = send(Request::get("/user/email?x=1")).await;
    assert_eq!(away.status(), StatusCode::SEE_OTHER);
    let form = away.headers()[LOCATION].to_str().unwrap();
    assert_eq!(form, "/confirm?of=ada&next=/user/email%3Fx%3D1");
    let form: Uri = form.parse().unwrap();
    assert_eq!(return_path(&form), "/user/email?x=1");
    // The exception is for `/hooks` and not for `/user/hooks`.
    let elsewhere = Request::post("/user/hooks").header("Sec-Fetch-Site", "cross-site");
    assert_eq!(send(elsewhere).await.status(), StatusCode::FORBIDDEN);
    // `/user/bind` is a route of the binding, and `/user/refresh` is none.
    for (path, status) in [("/user/bind", 200), ("/user/refresh", 403)] {
        assert_eq!(send(Request::get(path)).await.status(), status, "{path}");
    }
}

async fn greet(session: Session) -> Result<String, SessionError> {
    session.insert("greeted", &true)?;
    let user = session.owner();
    Ok(format!("hello {}", user.as_deref().unwrap_or("stranger")))
}

#[tokio::test]
async fn a_handler_is_tested_with_a_session_in_memory() {
    let session = Session::in_memory();
    session.log_in("ada").unwrap();
    assert_eq!(greet(session.clone()).await.unwrap(), "hello ada");
    assert_eq!(session.get("greeted").unwrap(), Some(true));

    // Without the layer: the request itself has the session.
    let app = Router::new().route("/", get(greet));
    let mut request = Request::get("/").body(axum::body::Body::empty()).unwrap();
    request.extensions_mut().insert(session);
    let response = app.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "hello ada");
}

enum Other {}

#[tokio::test]
async fn a_session_in_the_request_does_not_bypass_the_layer() {
    // Both have the cookie `session`, so the inner one is refused.
    let app = Router::new()
        .route(
            "/",
            get(async |_: Session<Other>| "another session's cookie"),
        )
        .layer(SessionLayer::<Other>::named(Sessions::in_memory()))
        .layer(SessionLayer::new(Sessions::in_memory()));
    let mut request = Request::get("/").body(axum::body::Body::empty()).unwrap();
    let own: Session<Other> = session_tower::session_core::Session::in_memory().into();
    request.extensions_mut().insert(own);
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
