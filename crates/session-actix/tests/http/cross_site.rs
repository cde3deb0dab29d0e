//! Requests that another site made the browser send are refused before anything happens.

use actix_web::{
    App, HttpRequest, HttpResponse,
    body::{MessageBody, to_bytes},
    dev::{Service, ServiceResponse},
    http::{
        ConnectionType, StatusCode,
        header::{HOST, ORIGIN, SET_COOKIE},
    },
    test::{TestRequest, init_service, try_call_service},
    web::{self, Bytes},
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
    Response = ServiceResponse<impl MessageBody + use<>>,
    Error = actix_web::Error,
> + use<> {
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

/// The response as a server sends it: status, whether it sets a cookie, body.
async fn answer<B: MessageBody + 'static>(
    app: &impl Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    request: actix_http::Request,
) -> (StatusCode, bool, Bytes) {
    let response = match try_call_service(app, request).await {
        Ok(response) => response.into_parts().1.map_into_boxed_body(),
        Err(error) => error.error_response(),
    };
    let (status, sets_cookie) = (
        response.status(),
        response.headers().contains_key(SET_COOKIE),
    );
    (
        status,
        sets_cookie,
        to_bytes(response.into_body()).await.unwrap_or_default(),
    )
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
        let (found, sets_cookie, body) = answer(&app, post(path, site, origin).to_request()).await;
        let case = format!("{path} {site:?} {origin:?}");
        let status = if passes {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(found, status, "{case}");
        assert_eq!(sets_cookie, passes, "{case}");
        assert_eq!(store.calls() > 0, passes, "{case}");
        assert!(body.is_empty(), "{case}");
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
            TestRequest::get().insert_header(("Upgrade", "websocket")),
            StatusCode::FORBIDDEN,
        ),
        (TestRequest::delete(), StatusCode::FORBIDDEN),
    ] {
        let mut request = from_attacker(request).to_request();
        if request.head().headers().contains_key("Upgrade") {
            // What a server makes of `Connection: keep-alive, Upgrade`.
            request
                .head_mut()
                .set_connection_type(ConnectionType::Upgrade);
        }
        assert_eq!(answer(&app, request).await.0, status);
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
        let passed = answer(&app, request).await.0 == StatusCode::OK;
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
    answer(&app, request.to_request()).await;
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
    answer(&app, request.to_request()).await;
    let text = log.text();
    assert!(text.len() < 1000, "{}", text.len());
    assert!(!text.contains(['\t', '\u{202e}']), "{text}");
}

#[actix_web::test]
async fn the_application_may_answer_a_refusal_itself() {
    let teapot = |request: &HttpRequest| {
        HttpResponse::ImATeapot().body(format!("not {} from there", request.path()))
    };
    let app = App::new()
        .wrap(CrossSiteGuard::default().with_answer(teapot))
        .route("/{path}", web::route().to(HttpResponse::Ok));
    let app = init_service(app).await;
    let (status, _, body) = answer(&app, post("/set", Some("cross-site"), None).to_request()).await;
    assert_eq!(status, StatusCode::IM_A_TEAPOT);
    assert_eq!(body, "not /set from there");
    let (status, ..) = answer(&app, TestRequest::get().uri("/set").to_request()).await;
    assert_eq!(status, StatusCode::OK);
}
