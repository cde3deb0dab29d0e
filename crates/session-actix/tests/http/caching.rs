//! Caches: `Vary: Cookie` whenever the session was looked at, `no-store` whenever its cookie is set
//! or somebody is logged in.

use crate::{
    browser::{browser, sessions, settings},
    observed::ObservedStore,
};

#[actix_web::test]
async fn an_answer_that_looked_at_the_session_varies_by_cookie() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    for path in [
        "/get/a",
        "/who",
        "/set/a",
        "/get/a",
        "/remove/b",
        "/clear",
        "/renew",
        "/logout",
    ] {
        assert_eq!(
            browser.get(path).await.header("vary"),
            Some("Cookie"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn an_answer_that_did_not_says_nothing() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/set/a").await;
    let plain = browser.get("/plain").await;
    assert_eq!(
        (
            plain.header("vary"),
            plain.header("set-cookie"),
            plain.header("cache-control")
        ),
        (None, None, None)
    );
}

#[actix_web::test]
async fn an_answer_that_sets_the_cookie_is_not_stored() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    for path in ["/set/a", "/renew", "/login/ada", "/logout"] {
        assert_eq!(
            browser.get(path).await.header("cache-control"),
            Some("no-store"),
            "{path}"
        );
    }
    assert_eq!(browser.get("/get/a").await.header("cache-control"), None);
}

#[actix_web::test]
async fn an_answer_that_looked_at_a_users_session_is_not_shown_again_after_the_logout() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/login/ada").await;
    for path in ["/who", "/get/a", "/set/a", "/fail/b", "/refuse", "/renew"] {
        assert_eq!(
            browser.get(path).await.header("cache-control"),
            Some("no-store"),
            "{path}"
        );
    }
    assert_eq!(browser.get("/plain").await.header("cache-control"), None);
    assert_eq!(
        browser.get("/cached").await.header("cache-control"),
        Some("public"),
        "the handler's word counts"
    );
    browser.get("/logout").await;
    assert_eq!(browser.get("/who").await.header("cache-control"), None);
}

#[actix_web::test]
async fn an_application_may_have_its_users_pages_shown_again() {
    let settings = settings().with_no_store(false);
    let mut browser = browser(sessions(settings, &ObservedStore::default())).await;
    let login = browser.get("/login/ada").await;
    assert_eq!(login.header("cache-control"), Some("no-store"));
    assert_eq!(browser.get("/who").await.header("cache-control"), None);
}

#[actix_web::test]
async fn what_the_handler_says_of_caching_is_kept() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    let answer = browser.get("/cached").await;
    assert_eq!(answer.header("vary"), Some("Accept, Cookie"));
    assert_eq!(answer.header("cache-control"), Some("public"));
}

#[actix_web::test]
async fn a_page_that_looked_at_a_users_session_is_not_stored_unless_its_handler_says_how() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/login/ada").await;
    for (path, said) in [
        ("/get/a", Some("no-store")),
        ("/plain", None),
        ("/cached", Some("public")),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.header("cache-control"), said, "{path}");
        assert!(answer.set_cookies().is_empty(), "{path}");
    }
    browser.get("/logout").await;
    assert_eq!(browser.get("/who").await.header("cache-control"), None);
}
