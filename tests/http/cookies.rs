//! The session cookie: when it is set, with which attributes, and how it is removed.

use session_core::{CookieAttributes, SameSite, SecretKeys};

use super::{
    browser::{browser, sessions, settings},
    observed_store::ObservedStore,
};

#[tokio::test]
async fn a_first_change_sets_one_cookie_with_the_safest_attributes() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    let response = browser.get("/set/a").await;
    let [cookie] = response.set_cookies()[..] else {
        panic!("one cookie: {:?}", response.set_cookies());
    };
    let (value, attributes) = cookie.split_once("; ").unwrap();
    // 32 random bytes and a signature of 32 bytes, both as base64url, and a dot.
    assert_eq!(value.len(), "__Host-session=".len() + 43 + 1 + 43);
    let (age, rest) = attributes.split_once("; ").unwrap();
    let age: u64 = age.strip_prefix("Max-Age=").unwrap().parse().unwrap();
    assert!((2_678_390..=2_678_400).contains(&age), "{age}");
    assert_eq!(rest, "Secure; HttpOnly; Path=/; SameSite=Lax");
}

#[tokio::test]
async fn an_unchanged_id_is_not_sent_again() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/set/a").await;
    for path in ["/get/a", "/set/b", "/increment/n", "/who"] {
        assert!(browser.get(path).await.set_cookies().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn reading_sets_no_cookie_and_stores_nothing() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    for path in ["/get/a", "/who", "/remove/a", "/clear", "/renew"] {
        assert!(browser.get(path).await.set_cookies().is_empty(), "{path}");
        assert_eq!(store.calls(), 0, "{path}");
    }
}

#[tokio::test]
async fn a_logout_removes_the_cookie_even_of_an_ended_session() {
    let removal = "__Host-session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Secure; HttpOnly; Path=/; SameSite=Lax";
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/set/a").await;
    let id = browser.cookie();
    assert_eq!(browser.get("/logout").await.set_cookies(), [removal]);
    browser.set_cookie(&id);
    assert_eq!(browser.get("/get/a").await.body, "none");
    browser.set_cookie(&id);
    assert_eq!(browser.get("/logout").await.set_cookies(), [removal]);
}

#[tokio::test]
async fn cookies_that_others_set_are_kept() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    let response = browser.get("/other-cookie/a").await;
    assert_eq!(response.set_cookies().len(), 2);
    assert!(
        response
            .set_cookies()
            .iter()
            .any(|it| it.starts_with("lang=en"))
    );
}

#[tokio::test]
async fn changes_are_saved_whatever_the_status() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    let failed = browser.get("/fail/a").await;
    assert_eq!(
        (failed.status.as_u16(), failed.set_cookies().len()),
        (500, 1)
    );
    assert_eq!(browser.get("/get/a").await.body, "1");
    let refused = browser.get("/refuse").await;
    assert_eq!(
        (refused.status.as_u16(), refused.body.as_str()),
        (418, "no coffee")
    );
    assert_eq!(browser.get("/get/kept").await.body, "1");
}

#[tokio::test]
async fn an_error_of_an_inner_service_carries_a_new_sessions_cookie() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    let refused = browser.get("/refuse").await;
    assert_eq!(
        (refused.status.as_u16(), refused.set_cookies().len()),
        (418, 1)
    );
    assert_eq!(refused.header("vary"), Some("Cookie"));
    assert_eq!(browser.get("/get/kept").await.body, "1");
}

#[tokio::test]
async fn a_cookie_that_is_not_permanent_ends_with_the_browser() {
    let mut browser = browser(sessions(
        settings().with_permanent(false),
        &ObservedStore::default(),
    ))
    .await;
    let response = browser.get("/set/a").await;
    assert!(
        !response.set_cookies()[0].contains("Max-Age"),
        "{:?}",
        response.set_cookies()
    );
}

#[tokio::test]
async fn another_applications_signature_opens_nothing() {
    let store = ObservedStore::default();
    let mut ours = browser(sessions(settings(), &store)).await;
    ours.get("/set/a").await;
    let other = SecretKeys::new("another key, of another application, 7").unwrap();
    let mut theirs = browser(sessions(settings().with_keys(other), &store)).await;
    theirs.set_cookie(&ours.cookie());
    store.calls();
    assert_eq!(theirs.get("/get/a").await.body, "none");
    assert_eq!(store.calls(), 0);
}

#[tokio::test]
async fn the_removal_has_the_attributes_that_the_cookie_was_set_with() {
    fn identity(cookie: &str) -> Vec<&str> {
        let mut parts: Vec<_> = cookie
            .split("; ")
            .skip(1)
            .filter(|part| !part.starts_with("Max-Age=") && !part.starts_with("Expires="))
            .collect();
        parts.sort_unstable();
        parts
    }
    let unusual = CookieAttributes {
        name: "session".into(),
        domain: Some("example.org".into()),
        path: "/app".into(),
        same_site: Some(SameSite::None),
        partitioned: true,
        ..CookieAttributes::default()
    };
    for attributes in [CookieAttributes::default(), unusual] {
        let settings = settings().with_cookie(attributes);
        let mut browser = browser(sessions(settings, &ObservedStore::default())).await;
        let set = browser.get("/set/a").await;
        let removed = browser.get("/logout").await;
        assert_eq!(
            identity(set.set_cookies()[0]),
            identity(removed.set_cookies()[0])
        );
    }
}

#[tokio::test]
async fn no_sequence_of_operations_sets_two_cookies_or_a_malformed_one() {
    let paths = [
        "/set/a",
        "/get/a",
        "/renew",
        "/login/ada",
        "/login/bob",
        "/logout",
        "/clear",
        "/fail/b",
        "/refuse",
        "/plain",
        "/increment/n",
        "/remove/a",
    ];
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    // A fixed seed, so that every run has the same sequence.
    let mut state = 1_u64;
    for _ in 0..10_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let path = paths[usize::try_from((state >> 33) % 12).unwrap()];
        let response = browser.get(path).await;
        let cookies = response.set_cookies();
        assert!(cookies.len() <= 1, "{path}: {cookies:?}");
        for cookie in cookies {
            let pair = cookie.split("; ").next().unwrap();
            assert!(pair.starts_with("__Host-session="), "{path}: {pair}");
            assert!(pair.len() <= 4096, "{path}: {pair}");
            assert!(
                cookie.bytes().all(|b| b.is_ascii_graphic() || b == b' '),
                "{path}: {cookie}"
            );
        }
    }
}
