//! Caching: `Vary: Cookie` if the session was used, `no-store` if its cookie is set or a user is
//! logged in. `Clear-Site-Data` on a log-out.

use session_core::config::SiteData;

use super::{
    browser::{browser, sessions, settings},
    observed_store::ObservedStore,
};

#[tokio::test]
async fn a_response_that_used_the_session_varies_by_cookie() {
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

#[tokio::test]
async fn a_response_that_did_not_use_the_session_has_no_caching_headers() {
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

#[tokio::test]
async fn a_response_that_sets_the_cookie_is_not_stored() {
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

#[tokio::test]
async fn a_response_that_used_a_users_session_is_not_stored() {
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
        "the handler's header takes precedence"
    );
    browser.get("/logout").await;
    assert_eq!(browser.get("/who").await.header("cache-control"), None);
}

#[tokio::test]
async fn no_store_for_users_pages_can_be_turned_off() {
    let settings = settings().with_no_store(false);
    let mut browser = browser(sessions(settings, &ObservedStore::default())).await;
    let login = browser.get("/login/ada").await;
    assert_eq!(login.header("cache-control"), Some("no-store"));
    assert_eq!(browser.get("/who").await.header("cache-control"), None);
}

#[tokio::test]
async fn the_handlers_caching_headers_are_kept() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    let response = browser.get("/cached").await;
    assert_eq!(response.header("vary"), Some("Accept, Cookie"));
    assert_eq!(response.header("cache-control"), Some("public"));
}

#[tokio::test]
async fn the_handlers_cache_control_takes_precedence_over_no_store() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/login/ada").await;
    for (path, said) in [
        ("/get/a", Some("no-store")),
        ("/plain", None),
        ("/cached", Some("public")),
    ] {
        let response = browser.get(path).await;
        assert_eq!(response.header("cache-control"), said, "{path}");
        assert!(response.set_cookies().is_empty(), "{path}");
    }
    browser.get("/logout").await;
    assert_eq!(browser.get("/who").await.header("cache-control"), None);
}

#[tokio::test]
async fn a_log_out_clears_what_the_setting_says_and_nothing_else_does() {
    let all = [SiteData::Cache, SiteData::Cookies, SiteData::Storage];
    for (data, expected) in [
        (&all[..0], None),
        (&all[..1], Some("\"cache\"")),
        (&all[..], Some("\"cache\", \"cookies\", \"storage\"")),
    ] {
        let settings = settings().with_clear_site_data(data);
        let mut browser = browser(sessions(settings, &ObservedStore::default())).await;
        for path in ["/login/ada", "/who", "/renew", "/clear", "/plain"] {
            assert_eq!(browser.get(path).await.header("clear-site-data"), None);
        }
        // The second finds nothing to end.
        for _ in 0..2 {
            let response = browser.get("/logout").await;
            assert_eq!(response.header("clear-site-data"), expected);
        }
    }
}

#[tokio::test]
async fn a_log_out_that_fails_clears_nothing() {
    let store = ObservedStore::default();
    let settings = settings().with_clear_site_data(&[SiteData::Cookies]);
    let mut browser = browser(sessions(settings, &store)).await;
    browser.get("/login/ada").await;
    store.fail_updates();
    let response = browser.get("/logout").await;
    assert_eq!(response.status, 503);
    assert_eq!(response.header("clear-site-data"), None);
}
