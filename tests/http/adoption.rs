//! Only the server issues ids: an unknown id is not adopted, and an id in use is not issued again.

use session_core::{SessionId, Settings};

use super::{
    browser::{browser, sessions, settings},
    observed_store::ObservedStore,
};

#[tokio::test]
async fn an_id_that_the_server_did_not_issue_is_never_adopted() {
    let mut browser = browser(sessions(Settings::unsigned(), &ObservedStore::default())).await;
    for _ in 0..50 {
        let invented = format!("__Host-session={}", SessionId::random(32).as_str());
        browser.set_cookie(&invented);
        let response = browser.get("/set/a").await;
        assert_eq!(response.set_cookies().len(), 1);
        assert_ne!(browser.cookie(), invented);
        assert_eq!(browser.get("/get/a").await.body, "1");
        browser.set_cookie(&invented);
        assert_eq!(browser.get("/get/a").await.body, "none");
    }
}

#[tokio::test]
async fn an_id_in_use_is_never_issued_again() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    store.refuse_inserts(3);
    let response = browser.get("/set/a").await;
    assert_eq!(
        (response.status.as_u16(), response.set_cookies().len()),
        (200, 1)
    );
    assert_eq!(
        store.calls(),
        4,
        "three ids were in use, the fourth was free"
    );
    assert_eq!(browser.get("/get/a").await.body, "1");
}
