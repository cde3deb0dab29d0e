//! Requests that another site made the browser send are refused before anything happens.

use http::{
    Request, StatusCode,
    header::{HOST, ORIGIN, SET_COOKIE},
    request::Builder,
};
use session_core::CrossSiteRule;

use super::{
    Answer,
    browser::{act, sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};
use crate::framework::{App, Incoming, Running};

const HERE: &str = "shop.example";
const OWN: &str = "https://shop.example";
const ATTACKER: &str = "https://attacker.example";
const PARTNER: &str = "https://partner.example";

async fn guarded(store: &ObservedStore, rule: CrossSiteRule) -> Running {
    App::new()
        .route("/hooks/{*act}", act)
        .route("/{*act}", act)
        .sessions(sessions(settings(), store))
        .guard(rule)
        .start()
        .await
}

/// The response as a server sends it: status, whether it sets a cookie, body.
async fn answer(app: &Running, request: Builder) -> (StatusCode, bool, String) {
    let response = app.send(request.body(String::new()).unwrap()).await;
    let sets_cookie = response.headers.contains_key(SET_COOKIE);
    (response.status, sets_cookie, response.body)
}

fn post(path: &str, site: Option<&str>, origin: Option<&str>) -> Builder {
    let mut request = Request::post(path).header(HOST, HERE);
    if let Some(site) = site {
        request = request.header("Sec-Fetch-Site", site);
    }
    if let Some(origin) = origin {
        request = request.header(ORIGIN, origin);
    }
    request
}

#[tokio::test]
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
        let (found, sets_cookie, body) = answer(&app, post(path, site, origin)).await;
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

#[tokio::test]
async fn reading_passes_and_a_web_socket_does_not() {
    let store = ObservedStore::default();
    let app = guarded(&store, CrossSiteRule::new()).await;
    let get = || Request::get("/who");
    for (request, status) in [
        (get(), StatusCode::OK),
        (get().header("Sec-Fetch-Site", "cross-site"), StatusCode::OK),
        (
            get()
                .header("Connection", "keep-alive, Upgrade")
                .header("Upgrade", "websocket"),
            StatusCode::FORBIDDEN,
        ),
        (Request::delete("/who"), StatusCode::FORBIDDEN),
    ] {
        let request = request.header(HOST, HERE).header(ORIGIN, ATTACKER);
        assert_eq!(answer(&app, request).await.0, status);
    }
}

#[tokio::test]
async fn the_host_is_the_one_that_the_request_was_sent_to() {
    let store = ObservedStore::default();
    let app = guarded(&store, CrossSiteRule::new()).await;
    for (request, passes) in [
        // HTTP/2 has it in the target.
        (Request::post("https://shop.example/who"), true),
        (Request::post("https://attacker.example/who"), false),
        (
            Request::post("/who").header(HOST, "shop.example:8080"),
            false,
        ),
        // What a proxy says is nothing that a browser vouches for.
        (
            Request::post("/who")
                .header(HOST, "inner:8080")
                .header("X-Forwarded-Host", HERE)
                .header("Forwarded", "host=shop.example"),
            false,
        ),
        (Request::post("/who"), false),
    ] {
        let request = request.header(ORIGIN, OWN);
        let passed = answer(&app, request).await.0 == StatusCode::OK;
        assert_eq!(passed, passes);
    }
}

#[tokio::test]
async fn a_refusal_is_logged_with_both_origins_and_nothing_else() {
    let store = ObservedStore::default();
    let app = guarded(&store, CrossSiteRule::new()).await;
    let (log, _guard) = Log::of_this_thread();
    let request = post(
        "/set/secret?token=secret",
        Some("cross-site"),
        Some(ATTACKER),
    )
    .header("Cookie", "__Host-session=secret");
    answer(&app, request).await;
    let text = log.text();
    for shown in [ATTACKER, HERE, "cross-site", "a request from another site"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_hostile_header_cannot_forge_or_flood_the_log() {
    let store = ObservedStore::default();
    let app = guarded(&store, CrossSiteRule::new()).await;
    let (log, _guard) = Log::of_this_thread();
    let origin = format!("https://a\tb\u{1b}[2J\u{202e}{}", "x".repeat(5000));
    let request = post("/set/a", None, Some(&origin.replace('\u{1b}', "")));
    answer(&app, request).await;
    let text = log.text();
    assert!(text.len() < 1000, "{}", text.len());
    assert!(!text.contains(['\t', '\u{202e}']), "{text}");
}

#[tokio::test]
async fn the_application_may_answer_a_refusal_itself() {
    let app = App::new()
        .route("/{path}", async |_: Incoming| Answer::ok())
        .guard_with_teapot();
    let app = app.start().await;
    let (status, _, body) = answer(&app, post("/set", Some("cross-site"), None)).await;
    assert_eq!(status, StatusCode::IM_A_TEAPOT);
    assert_eq!(body, "not /set from there");
    let (status, ..) = answer(&app, Request::get("/set")).await;
    assert_eq!(status, StatusCode::OK);
}
