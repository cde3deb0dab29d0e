//! A store that fails: a 503 in time, and only on routes that use the session.

use std::time::Duration;

use session_core::{
    MemoryStore,
    config::{OnStoreFailure, Refresh},
};

use super::{
    browser::{Response, browser, quickest, sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};

fn assert_unavailable(response: &Response) {
    assert_eq!(response.status.as_u16(), 503);
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.body, "Service Unavailable");
    assert!(
        response.set_cookies().is_empty(),
        "the cookie is left alone"
    );
}

#[tokio::test]
async fn an_outage_is_a_503_without_details_and_leaves_the_cookie_alone() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    browser.get("/set/a").await;
    store.set_down(true);
    for path in [
        "/get/a",
        "/set/a",
        "/renew",
        "/login/ada",
        "/logout",
        "/who",
    ] {
        assert_unavailable(&browser.get(path).await);
    }
    assert_eq!(browser.get("/plain").await.body, "ok");
    store.set_down(false);
    assert_eq!(browser.get("/get/a").await.body, "1");
}

#[tokio::test]
async fn a_first_change_that_cannot_be_stored_is_no_success() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    store.set_down(true);
    assert_unavailable(&browser.get("/set/a").await);
    let response = browser.get("/other-cookie/a").await;
    assert_eq!(response.status.as_u16(), 503);
    assert_eq!(
        response.set_cookies().len(),
        1,
        "cookies of others are kept"
    );
    assert_unavailable(&browser.get("/refuse").await);
}

#[tokio::test]
async fn a_request_waits_for_a_frozen_store_only_for_the_store_time() {
    let store = ObservedStore::default();
    let mut patient = browser(sessions(settings(), &store)).await;
    patient.get("/set/a").await;
    let short = settings().with_store_timeout(Duration::from_millis(200));
    let mut browser = browser(sessions(short, &store)).await;
    browser.set_cookie(&patient.cookie());
    store.set_frozen(true);
    for path in ["/get/a", "/set/a", "/logout"] {
        let took = quickest(async || assert_unavailable(&browser.get(path).await)).await;
        assert!(took < Duration::from_millis(900), "{path}: {took:?}");
    }
    store.set_frozen(false);
    assert_eq!(patient.get("/get/a").await.body, "1");
}

#[tokio::test]
async fn a_failure_is_logged_once() {
    let (log, _logging) = Log::of_this_thread();
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    browser.get("/set/a").await;
    store.fail_updates();
    assert_unavailable(&browser.get("/set/b").await);
    store.set_down(true);
    assert_unavailable(&browser.get("/get/a").await);
    let log = log.text();
    let failed = log.matches("a session error ended the request").count();
    assert_eq!(failed, 2, "{log}");
}

#[tokio::test]
async fn a_route_that_does_not_use_the_session_hardly_waits_for_a_frozen_store() {
    let store = ObservedStore::default();
    let refreshed = settings().with_refresh(Refresh::EveryRequest);
    let mut patient = browser(sessions(refreshed.clone(), &store)).await;
    patient.get("/set/a").await;
    let short = refreshed.with_store_timeout(Duration::from_secs(1));
    let mut browser = browser(sessions(short, &store)).await;
    browser.set_cookie(&patient.cookie());
    let freezes: [fn(&ObservedStore); 2] = [
        |store| store.freeze_updates(),
        |store| store.set_frozen(true),
    ];
    for freeze in freezes {
        freeze(&store);
        let took = quickest(async || assert_eq!(browser.get("/plain").await.body, "ok")).await;
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
}

#[tokio::test]
async fn an_application_may_continue_with_an_anonymous_session_that_cannot_be_changed() {
    let store = ObservedStore::default();
    let settings = settings().with_on_store_failure(OnStoreFailure::Anonymous);
    let mut browser = browser(sessions(settings, &store)).await;
    browser.get("/login/ada").await;
    store.set_down(true);
    assert_eq!(browser.get("/who").await.body, "nobody");
    for path in ["/set/b", "/login/bob", "/renew", "/logout"] {
        assert_unavailable(&browser.get(path).await);
    }
    store.set_down(false);
    assert_eq!(browser.get("/who").await.body, "ada");
    assert_eq!(browser.get("/get/b").await.body, "none");
}

#[tokio::test]
async fn a_session_too_large_is_refused_and_the_stored_one_is_intact() {
    let store = ObservedStore::new(MemoryStore::new().with_limit(1024));
    let mut browser = browser(sessions(settings(), &store)).await;
    browser.get("/set/a").await;
    let response = browser.get("/big/2000").await;
    assert_eq!(
        (response.status.as_u16(), response.set_cookies().len()),
        (413, 0)
    );
    assert_eq!(browser.get("/get/a").await.body, "1");
}
