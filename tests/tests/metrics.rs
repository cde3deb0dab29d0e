//! Each fault of the runbook moves the metric that its row names.

mod site;

use std::collections::HashMap;

use reqwest::Method;
use session_tests::RedisServer;
use site::{Backend, Browser, Demo};

/// The value of each series, by its name and attributes.
async fn metrics(browser: &Browser) -> HashMap<String, f64> {
    let answer = browser.send(Method::GET, "/metrics", String::new()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, value)| (series.to_owned(), value.parse().unwrap_or(f64::NAN)))
        .collect()
}

/// The sum of the series of this name with these attributes.
fn sum(metrics: &HashMap<String, f64>, name: &str, attributes: &[&str]) -> f64 {
    let is_meant = |series: &str| {
        series.starts_with(&format!("{name}{{"))
            && attributes
                .iter()
                .all(|attribute| series.contains(attribute))
    };
    let meant = metrics.iter().filter(|(series, _)| is_meant(series));
    meant.map(|(_, value)| value).sum()
}

const CALLS: &str = "session_store_operation_duration_count";
const REQUESTS: &str = "session_request_count";
const EVENTS: &str = "session_security_event_count";

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_raises_its_metric() {
    let redis = RedisServer::start(&[]).await;
    let demo = Demo::with(Backend::Redis.at(&redis.url()), &[]).await;
    let mut ada = demo.logged_in("ada").await;
    assert_eq!(ada.get("/health").await.status, 200);
    let healthy = metrics(&ada).await;
    assert!(
        sum(
            &healthy,
            CALLS,
            &["operation=\"insert\"", "outcome=\"stored\""]
        ) > 0.0
    );
    assert!(sum(&healthy, REQUESTS, &["outcome=\"done\""]) > 0.0);
    assert!(sum(&healthy, EVENTS, &["event=\"login\""]) > 0.0);
    assert!(sum(&healthy, CALLS, &["outcome=\"backend\""]) == 0.0);

    // Conflicts.
    let clicks = (0..50).map(|_| {
        let ada = ada.clone();
        tokio::spawn(async move { ada.send(Method::POST, "/increment/n", String::new()).await })
    });
    for click in clicks.collect::<Vec<_>>() {
        assert_eq!(click.await.unwrap().status, 200);
    }
    // A forged cookie, an id that ended.
    let forged = demo.browser().holding("session=AAAA.BBBB");
    forged.send(Method::GET, "/whoami", String::new()).await;
    let left = ada.clone();
    ada.post("/logout").await;
    left.send(Method::GET, "/whoami", String::new()).await;
    let now = metrics(&ada).await;
    assert!(sum(&now, EVENTS, &["event=\"signature_refused\""]) > 0.0);
    assert!(sum(&now, EVENTS, &["event=\"log_out\""]) > 0.0);
    assert!(sum(&now, CALLS, &["operation=\"load\"", "outcome=\"ended\""]) > 0.0);

    // The store is emptied, and then away.
    let mut bob = demo.logged_in("bob").await;
    redis.command("FLUSHDB");
    bob.get("/whoami").await;
    let now = metrics(&bob).await;
    assert!(sum(&now, CALLS, &["operation=\"load\"", "outcome=\"absent\""]) > 0.0);
    let bob = demo.logged_in("bob").await;
    redis.kill();
    assert_eq!(
        bob.send(Method::GET, "/whoami", String::new()).await.status,
        503
    );
    let health = bob.send(Method::GET, "/health", String::new()).await;
    assert_eq!(health.status, 503);
    assert!(health.text().contains("redis"), "{}", health.text());
    let now = metrics(&bob).await;
    let failed =
        sum(&now, CALLS, &["outcome=\"backend\""]) + sum(&now, CALLS, &["outcome=\"timeout\""]);
    assert!(failed > 0.0);
    assert!(sum(&now, REQUESTS, &["outcome=\"store\""]) > 0.0);
    let all: String = now.keys().cloned().collect();
    for secret in ["ada", "bob", bob.cookie().unwrap_or("session=")] {
        assert!(!all.contains(secret), "{all}");
    }
}
