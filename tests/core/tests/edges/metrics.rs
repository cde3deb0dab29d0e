//! What is counted and timed: each event from its first time on, each request once, each call of
//! the store.

use std::{collections::HashMap, time::Duration};

use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use session_core::{
    EncryptionKeys, Error, METRIC_BUCKETS, METRICS, Session, Sessions,
    config::{OnMaxPerUser, OnStoreFailure},
};

use crate::{
    flask_cookie::{ADA, importing, log_out, nothing, seconds},
    support::{Failure, Method, Site, signed},
};

const EVENTS: &str = "session_security_event_count";
const REQUESTS: &str = "session_request_count";
const CALLS: &str = "session_store_operation_duration_count";
const REFRESHES: &str = "session_refresh_count";

/// The metrics of this thread, as Prometheus would be told them.
struct Told(PrometheusHandle);

impl Told {
    /// Calls `test` with the metrics of this thread.
    fn recorder() -> &'static PrometheusRecorder {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets(&METRIC_BUCKETS).unwrap();
        // A test ends with its process.
        Box::leak(Box::new(builder.build_recorder()))
    }

    fn start() -> (Self, LocalRecorderGuard<'static>) {
        let recorder = Self::recorder();
        let guard = metrics::set_default_local_recorder(recorder);
        (Self(recorder.handle()), guard)
    }

    /// The value of each series, by its name and attributes.
    fn series(&self) -> HashMap<String, f64> {
        let text = self.0.render();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
            .collect()
    }

    /// The sum of the series of this name with this attribute.
    fn sum(&self, name: &str, attribute: &str) -> f64 {
        let is_meant = |series: &str| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|it| it.is_empty() || (it.starts_with('{') && it.contains(attribute)))
        };
        let series = self.series();
        let meant = series.iter().filter(|(series, _)| is_meant(series));
        meant.map(|(_, value)| value).sum()
    }
}

#[track_caller]
fn is(found: f64, expected: f64) {
    assert!((found - expected).abs() < 0.5, "{found}, not {expected}");
}

#[tokio::test]
async fn each_counter_is_there_before_its_first_event() {
    let (told, _guard) = Told::start();
    let _sessions = Sessions::in_memory();
    let series = told.series();
    for event in [
        "login",
        "record_unreadable",
        "rotated_id",
        "device_skipped",
        "cross_site_refused",
    ] {
        assert_eq!(
            series.get(&format!("{EVENTS}{{event=\"{event}\"}}")),
            Some(&0.0),
            "{series:?}"
        );
    }
    for outcome in ["done", "store", "conflict", "limit", "application"] {
        assert_eq!(
            series.get(&format!("{REQUESTS}{{outcome=\"{outcome}\"}}")),
            Some(&0.0)
        );
    }
    // A store in memory has no connections.
    let lacks = |name: &str| name.ends_with("duration") || name.contains(".connection.");
    for name in METRICS.iter().filter(|it| !lacks(it)) {
        let name = name.replace('.', "_");
        assert!(
            series.keys().any(|it| it.starts_with(&name)),
            "{name}: {series:?}"
        );
    }
}

#[tokio::test]
async fn a_record_that_this_process_cannot_read_is_an_event() {
    let (told, _guard) = Told::start();
    let unreadable = "event=\"record_unreadable\"";
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let key = site.store.last_key();
    let later = |bytes: &mut Vec<u8>| bytes[1] = 2;
    site.store.tamper(&key, later).await;
    let opened = site.try_open(&browser).await;
    assert!(matches!(opened, Err(Error::LaterVersion)), "{opened:?}");
    is(told.sum(EVENTS, unreadable), 1.0);
    let listed = site.sessions.owner_sessions("ada").await;
    assert!(matches!(listed, Err(Error::LaterVersion)), "{listed:?}");
    is(told.sum(EVENTS, unreadable), 2.0);
    let ended = site.sessions.log_out_everywhere("ada").await;
    assert!(matches!(ended, Err(Error::LaterVersion)), "{ended:?}");
    assert!(told.sum(EVENTS, unreadable) > 2.5);

    let keys = |secret| EncryptionKeys::new(secret).unwrap();
    let old = keys("Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ");
    let site = Site::new(signed().with_encryption(old));
    let browser = site.logged_in("ada").await;
    let new = keys("Dz7sQv2gX5kBn9tLw4fRj1hYp8cMa6eU");
    let site = site.with_settings(signed().with_encryption(new));
    let before = told.sum(EVENTS, unreadable);
    let opened = site.try_open(&browser).await;
    assert!(
        matches!(opened, Err(Error::UnknownEncryptionKey)),
        "{opened:?}"
    );
    is(told.sum(EVENTS, unreadable), before + 1.0);
    // It can be ended without being read.
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
    is(told.sum(EVENTS, unreadable), before + 1.0);
}

#[tokio::test]
async fn a_request_is_counted_once_by_what_the_application_met() {
    let (told, _guard) = Told::start();
    let outcome = |outcome: &str| told.sum(REQUESTS, &format!("outcome=\"{outcome}\""));
    let anonymous = signed().with_on_store_failure(OnStoreFailure::Anonymous);
    let site = Site::new(anonymous);
    let browser = site.logged_in("ada").await;
    is(outcome("done"), 1.0);

    // The application goes on without the session.
    site.store.go_down(&[Method::Load]);
    site.request(&browser, nothing).await;
    is(outcome("store"), 1.0);
    is(told.sum(REQUESTS, ""), 2.0);

    // It gives up, maybe after a second extractor.
    let site = site.with_settings(signed());
    let request = site.sessions.begin_request();
    for _ in 0..2 {
        assert!(browser.session(&request).await.is_err());
    }
    let _answer = request.finish();
    is(outcome("store"), 2.0);
    site.store.come_up();

    // It saves by itself, and answers with the error.
    let request = site.open(&browser).await;
    request.insert("a", &"x".repeat(2 << 20)).unwrap();
    let saved = request.save().await;
    assert!(matches!(saved, Err(Error::TooLarge { .. })), "{saved:?}");
    request.answer().await.unwrap();
    is(outcome("limit"), 1.0);
    let request = site.open(&browser).await;
    request.insert("a", &1).unwrap();
    site.store.fail(Method::Update, Failure::Before);
    assert!(request.save().await.is_err());
    assert!(request.answer().await.is_err());
    is(outcome("store"), 3.0);
    // It lists the user's sessions.
    site.store.go_down(&[Method::OwnedBy]);
    let request = site.open(&browser).await;
    assert!(request.owner_sessions().await.is_err());
    request.answer().await.unwrap();
    is(outcome("store"), 4.0);
    is(outcome("done"), 1.0);
    is(told.sum(REQUESTS, ""), 6.0);
}

#[tokio::test]
async fn each_call_of_the_store_is_timed() {
    let (told, _guard) = Told::start();
    let mut calls = 0;
    let mut count = |site: &Site| {
        calls += site.store.calls().len();
        is(
            told.sum(CALLS, ""),
            f64::from(u32::try_from(calls).unwrap()),
        );
    };

    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.request(&browser, Session::renew).await;
    count(&site);
    site.sessions.check_store().await.unwrap();
    count(&site);
    // Sessions that were renewed while they were listed are looked for.
    site.store.set_page(1);
    site.sessions.owner_sessions("ada").await.unwrap();
    count(&site);
    site.sessions.log_out_everywhere("ada").await.unwrap();
    count(&site);

    for policy in [OnMaxPerUser::RefuseLogin, OnMaxPerUser::EndOldest] {
        let limited = signed().with_max_per_user(1).with_on_max_per_user(policy);
        let site = Site::new(limited);
        site.logged_in("ada").await;
        site.time.advance(Duration::from_secs(1));
        let browser = site.browser();
        let second = site.open(&browser).await;
        second.log_in("ada").unwrap();
        let _refused_or_not = second.answer().await;
        count(&site);
    }

    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    count(&site);
    site.request(&browser, log_out).await;
    count(&site);
    site.sessions.log_out_everywhere("ada").await.unwrap();
    count(&site);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_too_slow_is_timed_too() {
    let (told, _guard) = Told::start();
    let timeouts = |operation: &str| {
        let attributes = format!("operation=\"{operation}\",outcome=\"timeout\"");
        told.sum(CALLS, &attributes)
    };
    let site = Site::new(importing());
    let browser = site.logged_in("ada").await;
    site.store.slow(Method::Load, Duration::from_secs(60));
    assert!(site.try_open(&browser).await.is_err());
    is(timeouts("load"), 1.0);
    assert!(site.sessions.check_store().await.is_err());
    is(timeouts("check"), 1.0);
    let flask = site.browser_of_flask(ADA, seconds(60));
    assert!(site.try_open(&flask).await.is_err());
    assert!(timeouts("load") > 1.5);
    site.store.slow(Method::OwnedBy, Duration::from_secs(60));
    assert!(site.sessions.owner_sessions("ada").await.is_err());
    is(timeouts("list"), 1.0);
}

#[tokio::test]
async fn a_refresh_is_counted() {
    let (told, _guard) = Told::start();
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.request(&browser, nothing).await;
    is(told.sum(REFRESHES, ""), 0.0);
    site.time.advance(Duration::from_secs(2 * 3600));
    site.request(&browser, nothing).await;
    is(told.sum(REFRESHES, "outcome=\"stored\""), 1.0);
    site.time.advance(Duration::from_secs(2 * 3600));
    site.store.fail(Method::Update, Failure::Before);
    site.request(&browser, nothing).await;
    is(told.sum(REFRESHES, "outcome=\"failed\""), 1.0);
}

#[tokio::test]
async fn a_record_of_a_clock_that_is_fast_is_counted() {
    let (told, _guard) = Told::start();
    let site = Site::new(signed());
    let fast = site.fast(signed(), Duration::from_secs(60));
    let browser = fast.logged_in("ada").await;
    let ahead = || told.sum("session_record_ahead_count", "");
    fast.request(&browser, nothing).await;
    is(ahead(), 0.0);
    site.request(&browser, nothing).await;
    is(ahead(), 1.0);
}
