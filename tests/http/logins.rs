//! Logging in and out.

use super::{
    browser::{browser, sessions, settings},
    observed_store::ObservedStore,
};

#[tokio::test]
async fn logging_in_renews_the_id_and_keeps_the_data() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/set/cart").await;
    let before = browser.cookie();
    browser.get("/login/ada").await;
    assert_ne!(browser.cookie(), before);
    assert_eq!(browser.get("/get/cart").await.body, "1");
    let after = browser.cookie();
    browser.set_cookie(&before);
    assert_eq!(
        browser.get("/who").await.body,
        "nobody",
        "the id from before the login is invalid"
    );
    browser.set_cookie(&after);
    assert_eq!(browser.get("/who").await.body, "ada");
}

#[tokio::test]
async fn another_users_session_is_emptied_first() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/login/ada").await;
    browser.get("/set/secret").await;
    browser.get("/login/bob").await;
    assert_eq!(browser.get("/get/secret").await.body, "none");
    assert_eq!(browser.get("/who").await.body, "bob");
}

#[tokio::test]
async fn a_request_with_a_renewed_id_is_anonymous_and_changes_nothing() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/login/ada").await;
    let old = browser.cookie();
    browser.get("/renew").await;
    let new = browser.cookie();
    browser.set_cookie(&old);
    let read = browser.get("/who").await;
    assert_eq!(
        (read.body.as_str(), read.set_cookies().len()),
        ("nobody", 0)
    );
    for path in ["/set/a", "/increment/n", "/remove/a", "/clear"] {
        let response = browser.get(path).await;
        assert_eq!(
            (response.status.as_u16(), response.set_cookies().len()),
            (409, 0),
            "{path}"
        );
    }
    let renew = browser.get("/renew").await;
    assert_eq!((renew.status.as_u16(), renew.set_cookies().len()), (200, 0));
    browser.set_cookie(&new);
    assert_eq!(browser.get("/who").await.body, "ada");
}

#[tokio::test]
async fn a_login_with_a_renewed_id_starts_a_session_of_its_own() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/set/a").await;
    let old = browser.cookie();
    browser.get("/login/ada").await;
    browser.set_cookie(&old);
    let again = browser.get("/login/ada").await;
    assert_eq!((again.status.as_u16(), again.set_cookies().len()), (200, 1));
    assert_eq!(browser.get("/get/a").await.body, "none");
}

#[tokio::test]
async fn a_logout_with_a_renewed_id_ends_the_successor() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/login/ada").await;
    let old = browser.cookie();
    browser.get("/renew").await;
    let new = browser.cookie();
    browser.set_cookie(&old);
    assert_eq!(browser.get("/logout").await.status.as_u16(), 200);
    browser.set_cookie(&new);
    assert_eq!(browser.get("/who").await.body, "nobody");
}
