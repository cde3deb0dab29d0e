//! The number of store calls of each request.

use super::{
    browser::{browser, sessions, settings},
    observed_store::ObservedStore,
};

#[tokio::test]
async fn a_route_that_does_not_use_the_session_makes_no_call() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    browser.get("/set/a").await;
    store.calls();
    browser.get("/plain").await;
    assert_eq!(store.calls(), 0);
}

#[tokio::test]
async fn reading_makes_one_call_and_changing_two() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    browser.get("/set/a").await;
    assert_eq!(store.calls(), 1, "a new session");
    browser.get("/get/a").await;
    assert_eq!(store.calls(), 1, "reading");
    browser.get("/set/b").await;
    assert_eq!(store.calls(), 2, "changing");
    browser.get("/remove/absent").await;
    assert_eq!(store.calls(), 1, "a change without an effect");
    browser.get("/renew").await;
    assert_eq!(store.calls(), 3, "renewing");
    browser.get("/logout").await;
    assert_eq!(store.calls(), 2, "logging out");
}
