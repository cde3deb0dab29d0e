//! An active user stays logged in: the browser's cookie lives as long as the session.

mod site;

use std::time::{Duration, Instant};

use serde_json::json;
use session_tests::rounds;
use site::{Backend, Demo};

const STORES: [Backend; 8] = [
    Backend::Memory,
    Backend::Filesystem,
    Backend::Redis,
    Backend::Memcached,
    Backend::Mongo,
    Backend::Sqlite,
    Backend::Postgres,
    Backend::MariaDb,
];

/// Six lifetimes long somebody changes something more often than every tenth of the lifetime, and
/// does nothing else.
async fn stays_logged_in(backend: Backend, seconds: u32) {
    let lifetime = seconds.to_string();
    let settings = [
        ("PERMANENT_SESSION_LIFETIME", lifetime.as_str()),
        // A slow machine is not what is tested here.
        ("SESSION_STORE_TIMEOUT_MS", "10000"),
    ];
    let demo = Demo::with(backend.settings().await, &settings).await;
    let lifetime = Duration::from_secs(seconds.into());
    let mut browser = demo.logged_in("anna").await;
    let mut clicks = tokio::time::interval(lifetime * 6 / 100);
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < lifetime * 6 {
        clicks.tick().await;
        count += 1;
        let answer = browser.post("/increment/n").await;
        let after = begin.elapsed();
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({ "value": count })),
            "{backend:?} after {after:?}"
        );
    }
    assert_eq!(browser.user().await, json!("anna"), "{backend:?}");
}

/// All at once, because it takes its time.
#[tokio::test]
async fn a_user_who_changes_something_often_stays_logged_in_on_every_store() {
    let lifetime = if rounds() >= 1000 { 10 } else { 3 };
    let stores = STORES.map(|store| tokio::spawn(stays_logged_in(store, lifetime)));
    for store in stores {
        store.await.expect("nobody is logged out");
    }
}
