//! Each fault of the runbook moves the metric that its row names.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod site;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use session_core::{CookieAttributes, KeyPrefix, SecretKeys, SessionStore, Sessions, Settings};
use session_redis::RedisStore;
use session_tests::{Postgres, RedisServer};
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
        series
            .strip_prefix(name)
            .is_some_and(|it| it.is_empty() || it.starts_with('{'))
            && attributes
                .iter()
                .all(|attribute| series.contains(attribute))
    };
    let meant = metrics.iter().filter(|(series, _)| is_meant(series));
    meant.map(|(_, value)| value).sum()
}

const CALLS: &str = "session_store_operation_duration_count";
const BUCKETS: &str = "session_store_operation_duration_bucket";
const REQUESTS: &str = "session_request_count";
const EVENTS: &str = "session_security_event_count";

const SECRET: &str = "correct-horse-battery-staple-41-bottles";
const HOUR: Duration = Duration::from_secs(3600);
/// The period of rotation.
const PERIOD: Duration = Duration::from_secs(60);

/// The same sessions as those of `demo`, in a process whose clock shows `time`.
fn at(time: SystemTime, demo: &Demo, redis: &RedisServer) -> Sessions {
    let cookie = CookieAttributes {
        name: "session".into(),
        secure: false,
        ..CookieAttributes::default()
    };
    let settings = demo.settings();
    let mut settings = settings.iter();
    let prefix = settings.find(|(name, _)| *name == "SESSION_KEY_PREFIX");
    let settings = Settings::new(SecretKeys::new(SECRET).unwrap())
        .with_cookie(cookie)
        .with_key_prefix(KeyPrefix::new(prefix.unwrap().1).unwrap())
        .with_rotation(PERIOD);
    let store = RedisStore::connect(&redis.url()).unwrap();
    let store: Arc<dyn SessionStore> = Arc::new(store);
    let builder = Sessions::builder(settings, store);
    builder.with_clock(Arc::new(move || time)).build().unwrap()
}

/// A request with `cookie`. Returns the cookie that it set, if it set one.
async fn requested(sessions: &Sessions, cookie: &str) -> Option<String> {
    let request = sessions.begin_request();
    let session = request.session(&mut [cookie.as_bytes()].into_iter()).await;
    drop(session.unwrap());
    let headers = match request.finish() {
        session_core::Finish::Ready(headers) => headers,
        session_core::Finish::Pending(saving) => saving.await.unwrap(),
    };
    let cookie = headers.set_cookie?;
    Some(cookie.split(';').next().unwrap().to_owned())
}

fn value(cookie: &str) -> &str {
    cookie.strip_prefix("session=").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_without_an_outage_raises_its_metric() {
    let redis = RedisServer::start(&[]).await;
    let more = [("SECRET_KEY", SECRET), ("SESSION_ROTATION_SECONDS", "60")];
    let demo = Demo::with(Backend::Redis.at(&redis.url()), &more).await;
    let browser = demo.browser();
    let told = async || metrics(&browser).await;
    let before = told().await;
    let ahead = |metrics: &_| sum(metrics, "session_record_ahead_count", &[]);
    let event = |metrics: &_, name: &str| sum(metrics, EVENTS, &[&format!("event=\"{name}\"")]);
    // Each counter is there before its first event.
    let unreadable = format!("{EVENTS}{{event=\"record_unreadable\"}}");
    assert_eq!(before.get(&unreadable), Some(&0.0), "{before:?}");
    assert_eq!(before.get("session_record_ahead_count"), Some(&0.0));

    // Another process's clock is off.
    let now = SystemTime::now();
    let fast = at(now + HOUR, &demo, &redis);
    let cookie = fast.cookie_of(|it| it.log_in("ada")).await.unwrap();
    let ada = demo.browser().holding(value(&cookie));
    let answer = ada.send(Method::GET, "/whoami", String::new()).await;
    assert!(answer.text().contains("ada"), "{}", answer.text());
    assert!(ahead(&told().await) > 0.0);

    // A stolen cookie: its id was rotated long ago, and the browser has the next one.
    let past = at(now - HOUR, &demo, &redis);
    let stolen = past.cookie_of(|it| it.log_in("eve")).await.unwrap();
    let past = at(now - HOUR + PERIOD * 2, &demo, &redis);
    let next = requested(&past, &stolen).await.expect("the id is rotated");
    requested(&past, &next).await;
    let thief = demo.browser().holding(value(&stolen));
    thief.send(Method::GET, "/whoami", String::new()).await;
    assert!(event(&told().await, "rotated_id") > 0.0);

    // A later release wrote a record.
    let mut bob = demo.logged_in("bob").await;
    let keys = redis.command("KEYS *");
    let settings = demo.settings();
    let mut settings = settings.iter();
    let prefix = settings.find(|(name, _)| *name == "SESSION_KEY_PREFIX");
    for key in keys
        .lines()
        .filter(|key| key.starts_with(prefix.unwrap().1))
    {
        if redis.command(&format!("TYPE {key}")).trim() == "+string" {
            redis.command(&format!("SETRANGE {key} 1 z"));
        }
    }
    assert_eq!(bob.get("/whoami").await.status, 503);
    let now = told().await;
    assert!(event(&now, "record_unreadable") > 0.0);
    redis.command("FLUSHALL");

    // A change comes with an id that was renewed meanwhile.
    let mut carol = demo.logged_in("carol").await;
    let late = carol.clone();
    carol.post("/renew").await;
    let change = late.send(Method::POST, "/increment/n", String::new()).await;
    assert_eq!(change.status, 409, "{}", change.text());
    assert!(sum(&told().await, REQUESTS, &["outcome=\"conflict\""]) > 0.0);

    // The store is slow: one answer takes more than a quarter of a second.
    let dave = demo.logged_in("dave").await;
    let slow = |metrics: &_| {
        let loads = &["operation=\"load\""];
        sum(metrics, CALLS, loads) - sum(metrics, BUCKETS, &[loads[0], "le=\"0.25\""])
    };
    let before = slow(&told().await);
    redis.command("CLIENT PAUSE 500 ALL");
    dave.send(Method::GET, "/whoami", String::new()).await;
    assert!(slow(&told().await) > before);

    // The store is full: it can be read, and refuses changes.
    redis.command("CONFIG SET maxmemory 1");
    let read = dave.send(Method::GET, "/whoami", String::new()).await;
    assert_eq!(read.status, 200, "{}", read.text());
    let changed = dave.send(Method::POST, "/increment/n", String::new()).await;
    assert_eq!(changed.status, 503, "{}", changed.text());
    let failed = ["operation=\"update\"", "outcome=\"backend\""];
    assert!(sum(&told().await, CALLS, &failed) > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_raises_its_metric() {
    let redis = RedisServer::start(&[]).await;
    let demo = Demo::with(Backend::Redis.at(&redis.url()), &[]).await;
    let mut grace = demo.logged_in("grace").await;
    assert_eq!(grace.get("/health").await.status, 200);
    let healthy = metrics(&grace).await;
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
        let grace = grace.clone();
        tokio::spawn(async move {
            grace
                .send(Method::POST, "/increment/n", String::new())
                .await
        })
    });
    for click in clicks.collect::<Vec<_>>() {
        assert_eq!(click.await.unwrap().status, 200);
    }
    // A forged cookie, an id that ended.
    let forged = demo.browser().holding("session=AAAA.BBBB");
    forged.send(Method::GET, "/whoami", String::new()).await;
    let left = grace.clone();
    grace.post("/logout").await;
    left.send(Method::GET, "/whoami", String::new()).await;
    let now = metrics(&grace).await;
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
    for secret in ["grace", "bob", bob.cookie().unwrap_or("session=")] {
        assert!(!all.contains(secret), "{all}");
    }
}

const CONNECTIONS: &str = "session_store_connection_count";
const ACTIVE: &str = "session_store_operation_active";
const PENDING: &str = "session_store_connection_pending_requests";

/// More visitors at once than there are connections, and a database that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_for_a_connection_are_counted() {
    let postgres = Postgres::start().await;
    let demo = Demo::with(Backend::Postgres.at(&postgres.url()), &[]).await;
    let ada = demo.logged_in("ada").await;
    let told = async || metrics(&ada).await;
    let before = told().await;
    let open = sum(&before, CONNECTIONS, &[]);
    let most = sum(&before, "session_store_connection_max", &[]);
    assert!(open >= 1.0 && open <= most, "{before:?}");
    assert!(sum(&before, ACTIVE, &[]).abs() < 0.5, "{before:?}");
    assert!(sum(&before, PENDING, &[]).abs() < 0.5, "{before:?}");

    postgres.freeze();
    // So many that some wait, whatever the pool's size is.
    let visits = (0..300).map(|_| {
        let ada = ada.clone();
        tokio::spawn(async move { ada.send(Method::GET, "/whoami", String::new()).await.status })
    });
    let visits: Vec<_> = visits.collect();
    let (mut active, mut pending) = (0.0_f64, 0.0_f64);
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = told().await;
        active = active.max(sum(&now, ACTIVE, &[]));
        pending = pending.max(sum(&now, PENDING, &[]));
    }
    for visit in visits {
        assert_eq!(visit.await.unwrap(), 503);
    }
    postgres.thaw();
    assert!(
        active > most,
        "{active} calls were under way, {most} can be"
    );
    assert!(pending > 0.0, "no call waited");
    ada.send(Method::GET, "/health", String::new()).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let health = ada.send(Method::GET, "/health", String::new()).await;
    assert_eq!(health.status, 200, "{}", health.text());
    let now = told().await;
    assert!(sum(&now, ACTIVE, &[]).abs() < 0.5, "{now:?}");
    assert!(sum(&now, PENDING, &[]).abs() < 0.5, "{now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_store_that_knows_its_connections_tells_them() {
    for backend in [
        Backend::Redis,
        Backend::Mongo,
        Backend::Sqlite,
        Backend::MariaDb,
    ] {
        let demo = Demo::on(backend).await;
        let ada = demo.logged_in("ada").await;
        let told = metrics(&ada).await;
        let names = told.keys().filter(|it| it.starts_with(CONNECTIONS));
        assert!(names.count() > 0, "{backend:?}: {told:?}");
        if backend == Backend::Redis {
            assert!(sum(&told, CONNECTIONS, &[]) >= 1.0, "{told:?}");
        }
    }
}
