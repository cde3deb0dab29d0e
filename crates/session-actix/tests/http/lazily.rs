//! What a request costs the store.

use crate::{
    browser::{browser, sessions, settings},
    observed::ObservedStore,
};

#[actix_web::test]
async fn a_route_that_does_not_ask_costs_nothing() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    browser.get("/set/a").await;
    store.calls();
    browser.get("/plain").await;
    assert_eq!(store.calls(), 0);
}

#[actix_web::test]
async fn reading_is_one_call_and_changing_two() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    browser.get("/set/a").await;
    assert_eq!(store.calls(), 1, "a new session");
    browser.get("/get/a").await;
    assert_eq!(store.calls(), 1, "reading");
    browser.get("/set/b").await;
    assert_eq!(store.calls(), 2, "changing");
    browser.get("/remove/absent").await;
    assert_eq!(store.calls(), 1, "a change that changes nothing");
    browser.get("/renew").await;
    assert_eq!(store.calls(), 3, "renewing");
    browser.get("/logout").await;
    assert_eq!(store.calls(), 2, "ending");
}
