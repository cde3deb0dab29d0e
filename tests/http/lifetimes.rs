//! Idle and absolute timeouts, by a clock that the test moves.

use std::time::Duration;

use session_core::{Settings, config::Refresh};

use super::{
    browser::{browser, sessions_at, settings},
    test_clock::TestClock,
};

fn short() -> Settings {
    settings().with_idle_timeout(Duration::from_secs(100))
}

#[tokio::test]
async fn an_idle_session_ends_and_a_used_one_does_not() {
    let clock = TestClock::default();
    let store = clock.store();
    let mut browser = browser(sessions_at(short(), &store, clock.clock()))
        .await
        .at(clock.clock());
    browser.get("/login/ada").await;
    for _ in 0..5 {
        clock.advance(60);
        let response = browser.get("/who").await;
        assert_eq!(
            (response.body.as_str(), response.set_cookies().len()),
            ("ada", 1)
        );
        assert!(response.set_cookies()[0].contains("Max-Age=100;"));
    }
    clock.advance(100);
    assert_eq!(browser.get("/who").await.body, "nobody");
}

#[tokio::test]
async fn a_refresh_waits_until_a_tenth_of_the_timeout_has_passed() {
    let clock = TestClock::default();
    let store = clock.store();
    let mut browser = browser(sessions_at(short(), &store, clock.clock()))
        .await
        .at(clock.clock());
    browser.get("/set/a").await;
    store.calls();
    for _ in 0..10 {
        clock.advance(1);
        browser.get("/get/a").await;
    }
    assert_eq!(store.calls(), 10, "ten loads");
    clock.advance(1);
    browser.get("/get/a").await;
    assert_eq!(store.calls(), 2, "a load and an update");
}

#[tokio::test]
async fn without_refresh_only_a_change_moves_the_expiry() {
    let clock = TestClock::default();
    let store = clock.store();
    let settings = short().with_refresh(Refresh::OnChange);
    let mut browser = browser(sessions_at(settings, &store, clock.clock()))
        .await
        .at(clock.clock());
    browser.get("/set/a").await;
    clock.advance(60);
    assert_eq!(browser.get("/get/a").await.body, "1");
    clock.advance(39);
    // Inserting the stored value is no change.
    browser.get("/set/a").await;
    browser.get("/increment/n").await;
    clock.advance(99);
    assert_eq!(browser.get("/get/a").await.body, "1");
    clock.advance(1);
    assert_eq!(browser.get("/get/a").await.body, "none");
}

/// A visitor who changes the session more often than every tenth of the lifetime.
async fn stays_logged_in(refresh: Refresh) {
    let clock = TestClock::default();
    let store = clock.store();
    let settings = short().with_refresh(refresh);
    let mut browser = browser(sessions_at(settings, &store, clock.clock()))
        .await
        .at(clock.clock());
    browser.get("/login/ada").await;
    for request in 1..=200 {
        clock.advance(6);
        browser.get("/increment/n").await;
        let who = browser.get("/who").await.body;
        assert_eq!(who, "ada", "{refresh:?}, after {request} requests");
    }
}

#[tokio::test]
async fn a_visitor_who_changes_something_often_stays_logged_in() {
    for refresh in [
        Refresh::OnChange,
        Refresh::WhenDue,
        Refresh::EveryAccess,
        Refresh::EveryRequest,
    ] {
        stays_logged_in(refresh).await;
    }
}

#[tokio::test]
async fn use_and_renewal_keep_the_absolute_timeout_and_a_login_restarts_it() {
    let clock = TestClock::default();
    let store = clock.store();
    let settings = short().with_absolute_timeout(Duration::from_secs(250));
    let mut browser = browser(sessions_at(settings, &store, clock.clock()))
        .await
        .at(clock.clock());
    browser.get("/set/a").await;
    clock.advance(90);
    browser.get("/renew").await;
    clock.advance(90);
    let late = browser.get("/get/a").await;
    assert!(
        late.set_cookies()[0].contains("Max-Age=70;"),
        "{:?}",
        late.set_cookies()
    );
    browser.get("/login/ada").await;
    for _ in 0..3 {
        clock.advance(80);
        assert_eq!(browser.get("/who").await.body, "ada");
    }
    clock.advance(10);
    assert_eq!(browser.get("/who").await.body, "nobody");
}

#[tokio::test]
async fn a_refresh_that_fails_does_not_fail_the_request() {
    let clock = TestClock::default();
    let store = clock.store();
    let mut browser = browser(sessions_at(short(), &store, clock.clock()))
        .await
        .at(clock.clock());
    browser.get("/set/a").await;
    clock.advance(50);
    store.fail_updates();
    let response = browser.get("/get/a").await;
    assert_eq!(
        (
            response.status.as_u16(),
            response.body.as_str(),
            response.set_cookies().len()
        ),
        (200, "1", 0)
    );
}
