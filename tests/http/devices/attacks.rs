//! Attacks on the routes and the guard, by what `DEVICE_BOUND.md` promises.

use http::{Request, header::COOKIE};
use session_core::{
    Sessions,
    config::OnStoreFailure,
    dbsc::{DeviceBinding, DevicePolicy},
};

use super::{
    super::{
        browser::{sessions, settings},
        log::Log,
        observed_store::ObservedStore,
        test_clock::TestClock,
    },
    Browser, REFRESH, REGISTER, bound, bound_at, browser, from_page,
};
use crate::framework::{App, adapter::DeviceGuard};

fn guarded(sessions: &Sessions, policy: DevicePolicy) -> App {
    let guard = DeviceGuard::new(sessions, policy).unwrap();
    App::new()
        .route("/{*act}", async || "secret")
        .device_guard(guard)
}

/// A route below a guard whose path ends as that of a device route is no device route.
#[tokio::test]
async fn a_guarded_path_that_ends_like_a_device_route_is_guarded() {
    let sessions = bound(&ObservedStore::default());
    let app = App::new()
        .nest("/files", guarded(&sessions, DevicePolicy::Require))
        .device_routes(&sessions)
        .unwrap()
        .sessions(sessions);
    let browser = Browser::of(app).await;
    for path in [
        "/files/x",
        "/files/device/refresh",
        "/files/device/bind",
        "/files//device/refresh",
        "/files/device/refresh?a",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
    }
}

/// Only a page that lacks nothing but a proof is opened again: never for a stranger, a session that
/// is not bound, or a policy that it satisfies. The page says nothing of the address.
#[tokio::test]
async fn the_page_that_opens_again_is_for_bound_sessions_only() {
    let clock = TestClock::default();
    let browser = browser(&bound_at(&clock)).await;
    let link = |path: &str| from_page(Request::get(path), "cross-site");
    assert_eq!(browser.send(link("/require/who")).await.status, 403);
    browser.get("/open/login/ada").await;
    assert_eq!(browser.send(link("/require/who")).await.status, 403);
    browser.log_in().await;
    browser.cookies.borrow_mut().remove("__Host-device");
    clock.advance(31);
    let mut bodies = Vec::new();
    for path in [
        "/require/who",
        "/once/set/n",
        "/once/who?<script>alert(1)</script>"
            .replace(['<', '>'], "%3C")
            .as_str(),
    ] {
        let answer = browser.send(link(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        bodies.push(answer.body);
    }
    assert!(bodies.iter().all(|it| *it == bodies[0]));
    assert_eq!(browser.get("/open/get/n").await.body, "none");
    // What the page leads to is refused, so nothing turns for ever.
    let again = from_page(Request::get("/once/who"), "same-origin");
    assert_eq!(browser.send(again).await.status, 403);
    browser.get("/open/logout").await;
    assert_eq!(browser.send(link("/require/who")).await.status, 403);
}

/// A refusal is for this request alone.
#[tokio::test]
async fn no_refusal_is_cached() {
    let clock = TestClock::default();
    let browser = browser(&bound_at(&clock)).await;
    browser.log_in().await;
    browser.cookies.borrow_mut().remove("__Host-device");
    clock.advance(31);
    for path in ["/require/who", "/once/who"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 403);
        let cache = answer.header("cache-control").unwrap_or_default();
        assert!(cache.contains("no-store"), "{path}: {cache:?}");
    }
}

/// The offer that is repeated is that of the login, also after a renewal and by whoever asks.
#[tokio::test]
async fn a_repeated_offer_counts_no_longer_after_a_renewal() {
    let clock = TestClock::default();
    let browser = browser(&bound_at(&clock)).await;
    let page = async || {
        let request = from_page(Request::get("/open/who"), "same-origin");
        let answer = browser.send(request).await;
        let offer = answer.header("secure-session-registration");
        offer.map(str::to_owned)
    };
    browser.get("/open/login/ada").await;
    clock.advance(200);
    browser.get("/open/renew").await;
    clock.advance(99);
    let offer = page().await.unwrap();
    clock.advance(2);
    assert_eq!(page().await, None);
    assert_eq!(browser.register(&offer).await.status, 403);
    for _ in 0..10 {
        clock.advance(60);
        assert_eq!(page().await, None);
        browser.get("/open/renew").await;
        browser.get("/open/set/n").await;
    }
}

/// A bound session is offered nothing, whatever the page; nor is the copy of its cookie.
#[tokio::test]
async fn a_bound_session_is_offered_nothing() {
    let clock = TestClock::default();
    let browser = browser(&bound_at(&clock)).await;
    browser.log_in().await;
    browser.cookies.borrow_mut().remove("__Host-device");
    for _ in 0..5 {
        clock.advance(20);
        let request = from_page(Request::get("/open/who"), "same-origin");
        let answer = browser.send(request).await;
        assert_eq!(answer.header("secure-session-registration"), None);
    }
}

/// HTTP/2 splits the cookies into several lines.
#[tokio::test]
async fn cookies_in_several_lines_prove_a_device() {
    let browser = browser(&bound(&ObservedStore::default())).await;
    let id = browser.log_in().await;
    let cookies: Vec<_> = browser.cookies.borrow().values().cloned().collect();
    let lines = |mut request: http::request::Builder, reversed: bool| {
        let mut cookies = cookies.clone();
        if reversed {
            cookies.reverse();
        }
        for cookie in cookies {
            request = request.header(COOKIE, cookie);
        }
        request.body(String::new()).unwrap()
    };
    for reversed in [false, true] {
        let request = lines(Request::get("/require/who"), reversed);
        assert_eq!(browser.service.send(request).await.body, "ada");
    }
    let request = Request::post(REFRESH).header("Sec-Secure-Session-Id", &id);
    assert_eq!(browser.service.send(lines(request, true)).await.status, 403);
    let out = browser
        .service
        .send(lines(Request::get("/open/logout"), true))
        .await;
    assert_eq!(out.set_cookies().len(), 2);
}

/// `OnStoreFailure::Anonymous`: "the store down or slow is 503". Nobody knows whether the session is
/// bound, so `Require` cannot say that the browser should log out and in again.
#[tokio::test]
async fn in_an_outage_require_is_a_503_also_if_others_read_on() {
    let store = ObservedStore::default();
    let settings = settings()
        .with_on_store_failure(OnStoreFailure::Anonymous)
        .with_device_binding(DeviceBinding::new(REGISTER, REFRESH));
    let browser = browser(&sessions(settings, &store)).await;
    let id = browser.log_in().await;
    store.set_down(true);
    assert_eq!(browser.get("/offer/who").await.body, "nobody");
    assert_eq!(browser.refresh(&id, None).await.status, 503);
    let (log, _guard) = Log::of_this_thread();
    let once = browser.get("/once/who").await;
    assert_ne!(once.body, "ada");
    let required = browser.get("/require/who").await;
    assert_eq!(
        required.status,
        503,
        "{}; {:?}",
        required.body,
        log.security_events()
    );
}

/// Hostile headers of each route: never a 500, and never a binding that ends in the store.
#[tokio::test]
async fn no_header_of_the_routes_is_a_server_error() {
    let browser = browser(&bound(&ObservedStore::default())).await;
    let id = browser.log_in().await;
    let huge = "A".repeat(60_000);
    let nested = format!("{}{}", "(".repeat(3000), ")".repeat(3000));
    for value in [
        "", "\"", ";", "a;b=(", "=", "?1", ":AA:", &huge, &nested, "a.b.c", "....",
    ] {
        for path in [REGISTER, REFRESH] {
            for name in [&id[..], value] {
                let request = Request::post(path)
                    .header("Sec-Secure-Session-Id", name)
                    .header("Secure-Session-Response", value)
                    .header("Secure-Session-Skipped", value);
                let answer = browser.send(request).await;
                assert!(
                    answer.status.is_client_error() || answer.body.contains("continue"),
                    "{path} {}: {}",
                    &value[..value.len().min(20)],
                    answer.status
                );
            }
        }
    }
    let asked = browser.refresh(&id, None).await;
    let challenge = asked.header("secure-session-challenge").unwrap();
    assert_eq!(browser.refresh(&id, Some(challenge)).await.status, 200);
}

/// A thief who says that a link led to the page is refused as any other, and is noticed.
#[tokio::test]
async fn a_thief_who_follows_links_gets_nothing_and_is_noticed() {
    let clock = TestClock::default();
    let browser = browser(&bound_at(&clock)).await;
    browser.log_in().await;
    browser.cookies.borrow_mut().remove("__Host-device");
    clock.advance(31);
    let (log, _guard) = Log::of_this_thread();
    for _ in 0..5 {
        let request = from_page(Request::get("/once/who"), "cross-site");
        let answer = browser.send(request).await;
        assert!(!answer.body.contains("ada"));
    }
    let events = log.security_events();
    assert_eq!(events.len(), 5, "{events:?}");
}
