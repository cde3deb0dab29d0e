//! Idle and absolute timeouts, as a clock that the test moves tells them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use session_actix::session_core::{Clock, MemoryStore, Settings, config::Refresh};

use crate::{
    browser::{browser, sessions_at, settings},
    observed::ObservedStore,
};

#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn clock(&self) -> Clock {
        let seconds = self.0.clone();
        Arc::new(move || {
            UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds.load(Ordering::Relaxed))
        })
    }

    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn store(&self) -> ObservedStore {
        ObservedStore::new(MemoryStore::new().with_clock(self.clock()))
    }
}

fn short() -> Settings {
    settings().with_idle_timeout(Duration::from_secs(100))
}

#[actix_web::test]
async fn an_idle_session_ends_and_a_used_one_does_not() {
    let hands = Hands::default();
    let store = hands.store();
    let mut browser = browser(sessions_at(short(), &store, hands.clock()))
        .await
        .at(hands.clock());
    browser.get("/login/ada").await;
    for _ in 0..5 {
        hands.pass(60);
        let answer = browser.get("/who").await;
        assert_eq!(
            (answer.body.as_str(), answer.set_cookies().len()),
            ("ada", 1)
        );
        assert!(answer.set_cookies()[0].contains("Max-Age=100;"));
    }
    hands.pass(100);
    assert_eq!(browser.get("/who").await.body, "nobody");
}

#[actix_web::test]
async fn a_refresh_waits_until_a_tenth_of_the_timeout_has_passed() {
    let hands = Hands::default();
    let store = hands.store();
    let mut browser = browser(sessions_at(short(), &store, hands.clock()))
        .await
        .at(hands.clock());
    browser.get("/set/a").await;
    store.calls();
    for _ in 0..10 {
        hands.pass(1);
        browser.get("/get/a").await;
    }
    assert_eq!(store.calls(), 10, "ten loads");
    hands.pass(1);
    browser.get("/get/a").await;
    assert_eq!(store.calls(), 2, "a load and an update");
}

#[actix_web::test]
async fn without_refresh_only_a_change_moves_the_expiry() {
    let hands = Hands::default();
    let store = hands.store();
    let settings = short().with_refresh(Refresh::OnChange);
    let mut browser = browser(sessions_at(settings, &store, hands.clock()))
        .await
        .at(hands.clock());
    browser.get("/set/a").await;
    hands.pass(60);
    assert_eq!(browser.get("/get/a").await.body, "1");
    hands.pass(39);
    // What is there already is no change.
    browser.get("/set/a").await;
    browser.get("/increment/n").await;
    hands.pass(99);
    assert_eq!(browser.get("/get/a").await.body, "1");
    hands.pass(1);
    assert_eq!(browser.get("/get/a").await.body, "none");
}

/// A visitor who changes something more often than every tenth of the lifetime.
async fn stays_logged_in(refresh: Refresh) {
    let hands = Hands::default();
    let store = hands.store();
    let settings = short().with_refresh(refresh);
    let mut browser = browser(sessions_at(settings, &store, hands.clock()))
        .await
        .at(hands.clock());
    browser.get("/login/ada").await;
    for click in 1..=200 {
        hands.pass(6);
        browser.get("/increment/n").await;
        let who = browser.get("/who").await.body;
        assert_eq!(who, "ada", "{refresh:?}, after {click} clicks");
    }
}

#[actix_web::test]
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

#[actix_web::test]
async fn the_absolute_timeout_is_kept_by_use_and_renewal_and_starts_again_with_a_login() {
    let hands = Hands::default();
    let store = hands.store();
    let settings = short().with_absolute_timeout(Duration::from_secs(250));
    let mut browser = browser(sessions_at(settings, &store, hands.clock()))
        .await
        .at(hands.clock());
    browser.get("/set/a").await;
    hands.pass(90);
    browser.get("/renew").await;
    hands.pass(90);
    let late = browser.get("/get/a").await;
    assert!(
        late.set_cookies()[0].contains("Max-Age=70;"),
        "{:?}",
        late.set_cookies()
    );
    browser.get("/login/ada").await;
    for _ in 0..3 {
        hands.pass(80);
        assert_eq!(browser.get("/who").await.body, "ada");
    }
    hands.pass(10);
    assert_eq!(browser.get("/who").await.body, "nobody");
}

#[actix_web::test]
async fn an_expiry_that_cannot_be_moved_fails_no_request() {
    let hands = Hands::default();
    let store = hands.store();
    let mut browser = browser(sessions_at(short(), &store, hands.clock()))
        .await
        .at(hands.clock());
    browser.get("/set/a").await;
    hands.pass(50);
    store.fail_updates();
    let answer = browser.get("/get/a").await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.body.as_str(),
            answer.set_cookies().len()
        ),
        (200, "1", 0)
    );
}
