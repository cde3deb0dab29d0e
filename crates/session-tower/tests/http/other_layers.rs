//! Layers of others around the session's layer and inside of it, and how axum puts routes together.
//! Each with the session's layer around the whole router, and added to each route.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, COOKIE,
        ORIGIN, SET_COOKIE, UPGRADE, VARY,
    },
    request::Builder,
};
use session_tower::{
    CrossSiteGuard, FreshLogin, Session, SessionError, SessionLayer, finish_saves,
    session_core::{
        Sessions,
        config::{IdHeader, Refresh},
    },
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, util::BoxCloneSyncService};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
    timeout::TimeoutLayer,
};

use crate::suite::{
    browser::{sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};

const SESSION_ID: HeaderName = HeaderName::from_static("session-id");
const PARTNER: &str = "https://partner.example";

/// An application whose layers are around or on each route.
pub(crate) type Whole = BoxCloneSyncService<Request, Response, Infallible>;

/// The sessions' layer around all of the routes, and added to each.
pub(crate) fn both_ways(routes: Router, sessions: &Sessions) -> [Whole; 2] {
    let layer = SessionLayer::new(sessions.clone());
    [
        Whole::new(layer.layer(routes.clone())),
        Whole::new(routes.layer(layer)),
    ]
}

/// The same, with another layer outside of the sessions'.
fn both_ways_within<L, R>(outer: L, routes: Router, sessions: &Sessions) -> [Whole; 2]
where
    L: Layer<Whole>,
    L::Service: Service<Request, Response = R, Error = Infallible>,
    L::Service: Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send,
    R: IntoResponse + 'static,
{
    both_ways(routes, sessions).map(|app| {
        let wrapped = outer.layer(app);
        Whole::new(wrapped.map_response(IntoResponse::into_response))
    })
}

async fn send(app: &Whole, request: Builder) -> Response {
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn with_cookie(path: &str, cookie: &str) -> Builder {
    Request::get(path).header(COOKIE, cookie)
}

async fn set(session: Session) -> Result<&'static str, SessionError> {
    session.insert("a", &1)?;
    Ok("set")
}

async fn show(session: Session) -> Result<String, SessionError> {
    Ok(format!(
        "{:?} {:?}",
        session.owner().as_deref(),
        session.get::<u8>("a")?
    ))
}

#[tokio::test]
async fn a_response_to_head_has_no_content_although_the_session_was_not_saved() {
    let store = ObservedStore::default();
    let sessions = sessions(settings(), &store);
    store.set_down(true);
    for app in both_ways(Router::new().route("/", any(set)), &sessions) {
        for (method, content) in [(Method::HEAD, ""), (Method::GET, "Service Unavailable")] {
            let response = send(&app, Request::builder().method(&method)).await;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(text(response).await, content, "{method}");
        }
    }
}

#[tokio::test]
async fn what_a_guard_answers_to_head_has_no_content() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let routes = Router::new().route("/", get(show));
    let fresh = FreshLogin::within(Duration::from_secs(60)).layer(routes.clone());
    let fresh = Whole::new(SessionLayer::new(sessions).layer(fresh));
    let elsewhere =
        CrossSiteGuard::default().with_answer(|_| Response::new("not from there".into()));
    let elsewhere = Whole::new(elsewhere.layer(routes));
    for (app, content) in [(fresh, "Unauthorized"), (elsewhere, "not from there")] {
        for (method, content) in [(Method::HEAD, ""), (Method::GET, content)] {
            let request = Request::builder()
                .method(&method)
                .header("Sec-Fetch-Site", "cross-site")
                .header(UPGRADE, "websocket");
            assert_eq!(text(send(&app, request).await).await, content, "{method}");
        }
    }
}

async fn change_and_panic(session: Session) -> &'static str {
    session.insert("a", &1).unwrap();
    panic!("a fault of the handler");
}

async fn log_out_and_panic(session: Session) -> &'static str {
    session.log_out();
    panic!("a fault of the handler");
}

#[tokio::test]
async fn a_panic_ends_the_session_that_was_logged_out_and_its_changes_are_saved_if_caught_inside() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let routes = Router::new()
        .route("/change", get(change_and_panic))
        .route("/log-out", get(log_out_and_panic))
        .route("/show", get(show));
    let inside = routes.clone().layer(CatchPanicLayer::new());
    let inside = both_ways(inside, &sessions);
    let outside = both_ways_within(CatchPanicLayer::new(), routes, &sessions);
    for (apps, changed) in [
        (inside, "Some(\"ada\") Some(1)"),
        (outside, "Some(\"ada\") None"),
    ] {
        for app in apps {
            for (path, left) in [("/change", changed), ("/log-out", "None None")] {
                let cookie = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
                let failed = send(&app, with_cookie(path, &cookie)).await;
                assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
                // A log-out that the panic cut off runs in a task.
                assert_eq!(finish_saves(Duration::from_secs(5)).await, 0);
                let found = text(send(&app, with_cookie("/show", &cookie)).await).await;
                assert_eq!(found, left, "{path}");
            }
        }
    }
}

/// The store answers again after a while, which is longer than the timeout of the tests.
fn freeze_for_a_while(store: &ObservedStore) {
    store.set_frozen(true);
    let store = store.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        store.set_frozen(false);
    });
}

async fn change_then_freeze(
    session: Session,
    State(store): State<ObservedStore>,
) -> Result<&'static str, SessionError> {
    session.insert("a", &1)?;
    freeze_for_a_while(&store);
    Ok("changed")
}

async fn save_while_frozen(
    session: Session,
    State(store): State<ObservedStore>,
) -> Result<&'static str, SessionError> {
    session.insert("a", &1)?;
    freeze_for_a_while(&store);
    let _saved = session.save().await?;
    Ok("saved")
}

#[tokio::test]
async fn a_timeout_does_not_cut_off_a_save_wherever_it_is() {
    let store = ObservedStore::default();
    let sessions = sessions(settings(), &store);
    let routes = Router::new()
        .route("/change", get(change_then_freeze))
        .route("/save", get(save_while_frozen))
        .route("/show", get(show))
        .with_state(store);
    let late = StatusCode::GATEWAY_TIMEOUT;
    let timeout = TimeoutLayer::with_status_code(late, Duration::from_millis(20));
    let inside = both_ways(routes.clone().layer(timeout), &sessions);
    let outside = both_ways_within(timeout, routes, &sessions);
    for (apps, changed) in [(inside, StatusCode::OK), (outside, late)] {
        for app in apps {
            for (path, status) in [("/change", changed), ("/save", late)] {
                let cookie = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
                let response = send(&app, with_cookie(path, &cookie)).await;
                assert_eq!(response.status(), status, "{path}");
                assert_eq!(finish_saves(Duration::from_secs(5)).await, 0);
                let found = text(send(&app, with_cookie("/show", &cookie)).await).await;
                assert_eq!(found, "Some(\"ada\") Some(1)", "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_layer_for_cors_outside_exposes_the_id_also_on_errors_and_answers_preflights_by_itself() {
    let store = ObservedStore::default();
    let settings = settings()
        .with_id_header(IdHeader::bearer())
        .with_refresh(Refresh::EveryRequest);
    let sessions = sessions(settings, &store);
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::exact(PARTNER.parse().unwrap()))
        .allow_headers([AUTHORIZATION])
        .expose_headers([SESSION_ID]);
    for app in both_ways_within(cors, Router::new().route("/", any(set)), &sessions) {
        store.calls();
        let preflight = Request::options("/")
            .header(ORIGIN, PARTNER)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(ACCESS_CONTROL_REQUEST_HEADERS, "authorization");
        let preflight = send(&app, preflight).await;
        assert_eq!(preflight.status(), StatusCode::OK);
        assert_eq!(
            preflight.headers()[ACCESS_CONTROL_ALLOW_HEADERS],
            "authorization"
        );
        assert_eq!(preflight.headers().get(SESSION_ID), None);
        assert_eq!(store.calls(), 0);

        let first = send(&app, Request::post("/").header(ORIGIN, PARTNER)).await;
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[ACCESS_CONTROL_EXPOSE_HEADERS], "session-id");
        let id = first.headers()[SESSION_ID].to_str().unwrap();
        let varies: Vec<_> = first.headers().get_all(VARY).iter().collect();
        assert!(
            varies.contains(&&HeaderValue::from_static("authorization")),
            "{varies:?}"
        );

        store.set_down(true);
        let again = Request::post("/")
            .header(ORIGIN, PARTNER)
            .header(AUTHORIZATION, format!("Bearer {id}"));
        let failed = send(&app, again).await;
        assert_eq!(failed.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(failed.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], PARTNER);
        store.set_down(false);
    }
}

#[tokio::test]
async fn handlers_have_the_session_however_their_routes_are_put_together() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let nested = Router::new().route("/set", get(set)).fallback(set);
    let merged = Router::new().route("/merged", get(set));
    let routes = Router::new()
        .nest("/in", nested)
        .merge(merged)
        .fallback(set)
        .method_not_allowed_fallback(set);
    for app in both_ways(routes, &sessions) {
        for request in [
            Request::get("/in/set"),
            Request::get("/in/elsewhere"),
            Request::get("/merged"),
            Request::post("/merged"),
            Request::get("/elsewhere"),
        ] {
            let response = send(&app, request).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert!(response.headers().contains_key(SET_COOKIE));
        }
    }
}

#[tokio::test]
async fn a_guard_names_the_route_that_it_is_on_and_none_around_the_router() {
    let routes = Router::new().route("/set/{key}", any(set));
    let guard = CrossSiteGuard::default();
    let on_routes = Whole::new(routes.clone().layer(guard.clone()));
    let around = Whole::new(guard.layer(routes));
    for (app, named) in [(on_routes, true), (around, false)] {
        let (log, _logging) = Log::of_this_thread();
        let refused = Request::post("/set/a").header("Sec-Fetch-Site", "cross-site");
        assert_eq!(send(&app, refused).await.status(), StatusCode::FORBIDDEN);
        let events = log.security_events();
        assert_eq!(
            events[0].contains("route=\"/set/{key}\""),
            named,
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn with_route_layer_what_is_no_route_has_no_session() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let routes = Router::new().route("/", get(set)).fallback(set);
    let app = Whole::new(routes.route_layer(SessionLayer::new(sessions)));
    for (path, status) in [
        ("/", StatusCode::OK),
        ("/x", StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        assert_eq!(send(&app, Request::get(path)).await.status(), status);
    }
}

#[tokio::test]
async fn a_service_that_must_be_ready_is_called_when_it_is() {
    for refresh in [Refresh::WhenDue, Refresh::EveryRequest] {
        let settings = settings().with_refresh(refresh);
        let sessions = sessions(settings, &ObservedStore::default());
        let one_at_a_time =
            ConcurrencyLimitLayer::new(1).layer(Router::new().route("/", get(show)));
        let guarded = FreshLogin::within(Duration::from_secs(60)).layer(one_at_a_time);
        let mut app = SessionLayer::new(sessions.clone()).layer(guarded);
        let ada = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
        for (cookie, status) in [(&*ada, 200), ("a=b", 401), (&*ada, 200)] {
            let request = with_cookie("/", cookie).body(Body::empty()).unwrap();
            let ready = ServiceExt::<Request>::ready(&mut app).await.unwrap();
            let response = ready.call(request).await.unwrap();
            assert_eq!(response.status(), status);
        }
    }
}
