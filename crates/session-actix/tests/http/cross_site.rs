//! Requests that another site made the browser send are refused before anything happens.

use actix_web::{
    App, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::{
        StatusCode,
        header::{HOST, ORIGIN, SET_COOKIE},
    },
    middleware::{ErrorHandlerResponse, ErrorHandlers},
    test::{TestRequest, call_service, init_service, read_body},
    web,
};
use session_actix::{CrossSiteGuard, SessionMiddleware, session_core::CrossSiteRule};

use crate::{
    browser::{act, sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};

const HERE: &str = "shop.example";
const OWN: &str = "https://shop.example";
const ATTACKER: &str = "https://attacker.example";
const PARTNER: &str = "https://partner.example";

async fn guarded(
    store: &ObservedStore,
    rule: CrossSiteRule,
) -> impl Service<
    actix_http::Request,
    Response = ServiceResponse<impl MessageBody>,
    Error = actix_web::Error,
> {
    let sessions = sessions(settings(), store);
    init_service(
        App::new()
            .wrap(SessionMiddleware::new(sessions))
            .wrap(CrossSiteGuard::new(rule))
            .route("/hooks/{act:.*}", web::post().to(act))
            .route("/{act:.*}", web::route().to(act)),
    )
    .await
}

fn post(path: &str, site: Option<&str>, origin: Option<&str>) -> TestRequest {
    let mut request = TestRequest::post().uri(path).insert_header((HOST, HERE));
    if let Some(site) = site {
        request = request.insert_header(("Sec-Fetch-Site", site));
    }
    if let Some(origin) = origin {
        request = request.insert_header((ORIGIN, origin));
    }
    request
}

#[actix_web::test]
async fn a_request_from_another_site_is_a_403_and_makes_no_store_call() {
    let store = ObservedStore::default();
    let rule = CrossSiteRule::new()
        .let_origin_act_as_visitor(PARTNER)
        .and_then(|rule| rule.leave_path_open_to_other_sites("/hooks/"))
        .unwrap();
    let app = guarded(&store, rule).await;
    for (path, site, origin, passes) in [
        ("/set/a", Some("same-origin"), Some(OWN), true),
        ("/set/a", Some("same-origin"), Some("null"), true),
        ("/set/a", Some("none"), None, true),
        ("/set/a", Some("cross-site"), Some(ATTACKER), false),
        (
            "/set/a",
            Some("same-site"),
            Some("https://pay.shop.example"),
            false,
        ),
        ("/set/a", Some("cross-site"), Some("null"), false),
        ("/set/a", None, Some(OWN), true),
        ("/set/a", None, Some(ATTACKER), false),
        ("/set/a", None, Some("null"), false),
        ("/set/a", None, None, true),
        ("/set/a", Some("cross-site"), Some(PARTNER), true),
        ("/hooks/set/a", Some("cross-site"), Some(ATTACKER), true),
        ("/hooks/../set/a", Some("cross-site"), Some(ATTACKER), false),
    ] {
        let response = call_service(&app, post(path, site, origin).to_request()).await;
        let case = format!("{path} {site:?} {origin:?}");
        let status = if passes {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(response.status(), status, "{case}");
        assert_eq!(
            response.headers().contains_key(SET_COOKIE),
            passes,
            "{case}"
        );
        assert_eq!(store.calls() > 0, passes, "{case}");
        if !passes {
            assert!(read_body(response).await.is_empty(), "{case}");
        }
    }
}

#[actix_web::test]
async fn reading_passes_and_a_web_socket_does_not() {
    let store = ObservedStore::default();
    let app = guarded(&store, CrossSiteRule::new()).await;
    let from_attacker = |request: TestRequest| {
        let request = request.uri("/who").insert_header((HOST, HERE));
        request.insert_header((ORIGIN, ATTACKER))
    };
    for (request, status) in [
        (TestRequest::get(), StatusCode::OK),
        (
            TestRequest::get().insert_header(("Sec-Fetch-Site", "cross-site")),
            StatusCode::OK,
        ),
        (
            TestRequest::get()
                .insert_header(("Connection", "keep-alive, Upgrade"))
                .insert_header(("Upgrade", "websocket")),
            StatusCode::FORBIDDEN,
        ),
        (TestRequest::delete(), StatusCode::FORBIDDEN),
    ] {
        let response = call_service(&app, from_attacker(request).to_request()).await;
        assert_eq!(response.status(), status);
    }
}

#[actix_web::test]
async fn the_host_is_the_one_that_the_request_was_sent_to() {
    let store = ObservedStore::default();
    let app = guarded(&store, CrossSiteRule::new()).await;
    for (request, passes) in [
        // HTTP/2 has it in the target.
        (TestRequest::post().uri("https://shop.example/who"), true),
        (
            TestRequest::post().uri("https://attacker.example/who"),
            false,
        ),
        (
            TestRequest::post()
                .uri("/who")
                .insert_header((HOST, "shop.example:8080")),
            false,
        ),
        // What a proxy says is nothing that a browser vouches for.
        (
            TestRequest::post()
                .uri("/who")
                .insert_header((HOST, "inner:8080"))
                .insert_header(("X-Forwarded-Host", HERE))
                .insert_header(("Forwarded", "host=shop.example")),
            false,
        ),
        (TestRequest::post().uri("/who"), false),
    ] {
        let request = request.insert_header((ORIGIN, OWN)).to_request();
        let passed = call_service(&app, request).await.status() == StatusCode::OK;
        assert_eq!(passed, passes);
    }
}

#[actix_web::test]
async fn a_refusal_is_logged_with_both_origins_and_nothing_else() {
    let store = ObservedStore::default();
    let app = guarded(&store, CrossSiteRule::new()).await;
    let (log, _guard) = Log::of_this_thread();
    let request = post(
        "/set/secret?token=secret",
        Some("cross-site"),
        Some(ATTACKER),
    )
    .insert_header(("Cookie", "__Host-session=secret"));
    call_service(&app, request.to_request()).await;
    let text = log.text();
    for shown in [ATTACKER, HERE, "cross-site", "a request from another site"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[actix_web::test]
async fn a_hostile_header_cannot_forge_or_flood_the_log() {
    let store = ObservedStore::default();
    let app = guarded(&store, CrossSiteRule::new()).await;
    let (log, _guard) = Log::of_this_thread();
    let origin = format!("https://a\tb\u{1b}[2J\u{202e}{}", "x".repeat(5000));
    let request = post("/set/a", None, Some(&origin.replace('\u{1b}', "")));
    call_service(&app, request.to_request()).await;
    let text = log.text();
    assert!(text.len() < 1000, "{}", text.len());
    assert!(!text.contains(['\t', '\u{202e}']), "{text}");
}

#[actix_web::test]
async fn the_application_may_answer_a_refusal_itself() {
    let teapot = ErrorHandlers::new().handler(StatusCode::FORBIDDEN, |response| {
        let (request, _) = response.into_parts();
        let instead = HttpResponse::ImATeapot().body("not from here");
        let instead = ServiceResponse::new(request, instead).map_into_right_body();
        Ok(ErrorHandlerResponse::Response(instead))
    });
    let app = App::new()
        .wrap(CrossSiteGuard::default())
        .wrap(teapot)
        .route("/", web::route().to(HttpResponse::Ok));
    let app = init_service(app).await;
    let request = post("/", Some("cross-site"), None).to_request();
    let response = call_service(&app, request).await;
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(read_body(response).await, "not from here");
    let response = call_service(&app, TestRequest::get().to_request()).await;
    assert_eq!(response.status(), StatusCode::OK);
}
