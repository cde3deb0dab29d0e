//! Sessions survive a restart, and all processes on the store share them.

#[macro_use]
mod site;

use std::time::Duration;

use serde_json::json;
use session_tests::Program;
use site::{Backend, Browser, Demo};

on_shared_stores! { a_killed_demo_knows_its_users_again }
async fn a_killed_demo_knows_its_users_again(backend: Backend) {
    let mut demo = Demo::on(backend).await;
    let mut browser = demo.logged_in("anna").await;
    browser.put("/data/k", &json!([1, 2])).await;
    demo.restart().await;
    let mut browser = browser.at(demo.url());
    assert_eq!(browser.user().await, json!("anna"));
    assert_eq!(browser.get("/data/k").await.json(), json!([1, 2]));
}

on_shared_stores! { two_demos_share_their_sessions }
async fn two_demos_share_their_sessions(backend: Backend) {
    let demo = Demo::on(backend).await;
    let other = demo.beside().await;
    let mut here = demo.logged_in("anna").await;
    let mut there = here.at(other.url());
    assert_eq!(there.user().await, json!("anna"));
    assert_eq!(
        here.post("/increment/n").await.json(),
        json!({ "value": 1 })
    );
    assert_eq!(
        there.post("/increment/n").await.json(),
        json!({ "value": 2 })
    );
    there.post("/renew").await;
    assert_eq!(here.user().await, json!(null));
    let mut here = there.at(demo.url());
    assert_eq!(here.user().await, json!("anna"));
    here.post("/logout").await;
    assert_eq!(there.user().await, json!(null));
}

#[tokio::test]
async fn another_secret_or_prefix_is_another_site() {
    let demo = Demo::on(Backend::Redis).await;
    let browser = demo.logged_in("anna").await;
    let other = Demo::on(Backend::Redis).await;
    assert_eq!(browser.at(other.url()).user().await, json!(null));
}

/// Runs `demo cleanup` beside `demo`, and returns what it says.
fn clean_up(demo: &Demo) -> String {
    let output = Program::run(demo.directory(), "demo", &["cleanup"], &demo.settings());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

on_stores! {
    cleaning_up_counts: filesystem Filesystem, sqlite Sqlite, postgres Postgres, mariadb MariaDb, redis Redis,
    memcached Memcached, mongodb Mongo
}
async fn cleaning_up_counts(backend: Backend) {
    let swept = !matches!(
        backend,
        Backend::Redis | Backend::Memcached | Backend::Mongo
    );
    let mut settings = backend.settings().await;
    if matches!(backend, Backend::Postgres | Backend::MariaDb) {
        settings.push(("SESSION_SQL_TABLE", "cleaned".to_owned()));
    }
    // The sweep of the demo itself must not come first.
    let more = [
        ("PERMANENT_SESSION_LIFETIME", "2"),
        ("SESSION_CLEANUP_SECONDS", "3600"),
    ];
    let demo = Demo::with(settings, &more).await;
    let mut browsers: Vec<Browser> = Vec::new();
    for n in 0..3 {
        browsers.push(demo.logged_in(&format!("user{n}")).await);
    }
    tokio::time::sleep(Duration::from_millis(3100)).await;
    for browser in &browsers {
        // A browser that keeps the cookie too long.
        let cookie = browser.cookie().expect("it was set").to_owned();
        let mut stubborn = browser.clone().holding(&cookie);
        assert_eq!(
            stubborn.user().await,
            json!(null),
            "it has expired, swept or not"
        );
    }
    let assert_cleaned = |expected: &str| {
        let said = clean_up(&demo);
        assert!(
            said.starts_with(expected) && said.lines().count() == 1,
            "{expected}: {said}"
        );
    };
    // An operator who cleans up does not wait for the ten minutes that a record is kept longer.
    assert_cleaned(if swept { "3 " } else { "0 " });
    assert_cleaned("0 ");
}
