//! During an outage, routes that use the session quickly answer 503, and other routes work.

mod site;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use session_sql::sqlx::{Connection as _, Executor as _, PgConnection};
use session_tests::{
    MariaDb, Memcached, Mongo, Postgres, RedisServer, Server, Watch, assert_in_time, rounds,
};
use site::{Answer, Backend, Browser, Cookie, Demo, percentile};
use tokio::sync::Mutex;

const QUICK: Duration = Duration::from_millis(1500);
const UNNOTICED: Duration = Duration::from_millis(50);
/// Several, so that the slowest hundredth of a second's answers is more than one or two of them.
const PLAIN_VISITORS: usize = 4;
const SOAK: Duration = Duration::from_secs(60);
const RECOVERY: Duration = Duration::from_secs(2);

/// Times are measured, so one test at a time, together with the start of its server.
static EXCLUSIVE: Mutex<()> = Mutex::const_new(());

/// What is asked while the store is away: reading, changing, ending.
const ROUTES: [(Method, &str); 5] = [
    (Method::GET, "/whoami"),
    (Method::POST, "/increment/n"),
    (Method::POST, "/renew"),
    (Method::POST, "/logout"),
    (Method::POST, "/fail?write=k"),
];

/// Panics unless the answer is a quick 503 that gives nothing away and leaves the cookie alone.
fn assert_honest(answer: &Answer, path: &str) {
    assert_in_time!(answer.took < QUICK, "{path}: {:?}", answer.took);
    assert_eq!(answer.status, 503, "{path}: {}", answer.text());
    assert_eq!(answer.cookie(), Cookie::Untouched, "{path}");
    assert!(!answer.header("retry-after").is_empty(), "{path}");
    assert_eq!(answer.text(), "Service Unavailable", "{path}");
}

/// Asks for `/plain` for as long as the outage lasts; how long each answer took.
async fn plain_answers(browser: Browser, begin: Instant, lasts: Duration) -> Vec<Duration> {
    let mut took = Vec::new();
    while begin.elapsed() < lasts {
        let answer = browser.send(Method::GET, "/plain", String::new()).await;
        assert_eq!(answer.status, 200);
        took.push(answer.took);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    took
}

/// Asks everything for as long as `lasts`, and once more if the machine was too busy for `/plain`.
async fn assert_outage(browser: &Browser, lasts: Duration) {
    let first = slowest_plain(browser, lasts).await;
    if first < UNNOTICED {
        return;
    }
    let second = slowest_plain(browser, lasts).await;
    assert_in_time!(second < UNNOTICED, "/plain p99 {first:?}, then {second:?}");
}

/// Asks everything for as long as `lasts`, several at once, and `/plain` beside it; the time in
/// which 99 % of `/plain` were answered.
async fn slowest_plain(browser: &Browser, lasts: Duration) -> Duration {
    let begin = Instant::now();
    let mut askers = Vec::new();
    for (method, path) in ROUTES {
        let browser = browser.clone();
        askers.push(tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            while begin.elapsed() < lasts {
                let answer = browser.send(method.clone(), path, String::new()).await;
                assert_honest(&answer, path);
                slowest = slowest.max(answer.took);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            slowest
        }));
    }
    // The readiness probe says in time that the store cannot be used, and why.
    let probe = browser.clone();
    askers.push(tokio::spawn(async move {
        let mut slowest = Duration::ZERO;
        while begin.elapsed() < lasts {
            let answer = probe.send(Method::GET, "/health", String::new()).await;
            assert_in_time!(answer.took < QUICK, "/health: {:?}", answer.took);
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(answer.text().len() > 20, "{}", answer.text());
            slowest = slowest.max(answer.took);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        slowest
    }));
    let visitors: Vec<_> = (0..PLAIN_VISITORS)
        .map(|_| tokio::spawn(plain_answers(browser.clone(), begin, lasts)))
        .collect();
    let mut plain = Vec::new();
    for visitor in visitors {
        plain.extend(visitor.await.expect("every answer is 200"));
    }
    let mut slowest = Duration::ZERO;
    for asker in askers {
        slowest = slowest.max(asker.await.expect("every answer is honest"));
    }
    let count = plain.len();
    let p99 = percentile(&mut plain, 99);
    eprintln!("    slowest 503 {slowest:.1?}, p99 of {count} /plain {p99:.1?}");
    p99
}

/// Waits until the demo is healthy again and says how long that took.
async fn recovered(demo: &Demo) -> Duration {
    let begin = Watch::start();
    loop {
        let mut browser = demo.browser();
        if browser.post("/login?user=anna").await.status == 200 {
            assert_eq!(browser.user().await, json!("anna"));
            let took = begin.stop(RECOVERY).await;
            eprintln!("    healthy after {took:.1?}");
            assert_in_time!(took < RECOVERY, "{took:?}");
            return took;
        }
        assert_in_time!(
            begin.elapsed() < 5 * RECOVERY,
            "never healthy:\n{}",
            demo.output()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn survives(backend: Backend, address: String, server: &Server) {
    let soak = rounds() >= 1000;
    let outage = if soak { SOAK } else { Duration::from_secs(1) };
    let demo = Demo::with(backend.at(&address), &[]).await;
    let mut browser = demo.logged_in("anna").await;

    eprintln!("{backend:?} frozen");
    server.freeze();
    assert_outage(&browser, outage).await;
    server.thaw();
    recovered(&demo).await;
    // What was refused may have been done, as a 503 says; the cookie was left alone and is good or
    // dead, not an error.
    let user = browser.user().await;
    assert!([json!("anna"), json!(null)].contains(&user), "{user}");

    eprintln!("{backend:?} killed");
    let browser = demo.logged_in("anna").await;
    server.kill();
    assert_outage(&browser, outage).await;
    server.restart().await;
    recovered(&demo).await;
    // The harness's servers keep no promise to their disks; an answer it is, whatever they still
    // know.
    let user = browser.clone().user().await;
    assert!([json!("anna"), json!(null)].contains(&user), "{user}");
}

#[tokio::test]
async fn redis_away() {
    let _alone = EXCLUSIVE.lock().await;
    let server = RedisServer::start(&[]).await;
    survives(Backend::Redis, server.url(), &server).await;
}

#[tokio::test]
async fn memcached_away() {
    let _alone = EXCLUSIVE.lock().await;
    let server = Memcached::start(&[]).await;
    survives(Backend::Memcached, server.addr(), &server).await;
}

#[tokio::test]
async fn mongodb_away() {
    let _alone = EXCLUSIVE.lock().await;
    let server = Mongo::start().await;
    survives(Backend::Mongo, server.url(), &server).await;
}

#[tokio::test]
async fn postgres_away() {
    let _alone = EXCLUSIVE.lock().await;
    let server = Postgres::start().await;
    survives(Backend::Postgres, server.url(), &server).await;
}

#[tokio::test]
async fn mariadb_away() {
    let _alone = EXCLUSIVE.lock().await;
    let server = MariaDb::start().await;
    survives(Backend::MariaDb, server.url(), &server).await;
}

/// A file system that is unmounted, and mounted again.
#[tokio::test]
async fn files_whose_directory_is_away() {
    let _alone = EXCLUSIVE.lock().await;
    let demo = Demo::with(Backend::Filesystem.at("sessions"), &[]).await;
    let mut browser = demo.logged_in("anna").await;
    let directory = demo.directory().join("sessions");
    let aside = demo.directory().join("aside");
    fs::rename(&directory, &aside).expect("the demo made it");
    assert_outage(&browser, Duration::from_secs(1)).await;
    assert!(!directory.exists(), "sessions in another place are lost");
    // As the directory on which it was mounted.
    fs::create_dir(&directory).expect("it is away");
    fs::set_permissions(&directory, Permissions::from_mode(0o700)).expect("it is new");
    assert_outage(&browser, Duration::from_secs(1)).await;
    fs::remove_dir(&directory).expect("nothing was written there");
    fs::rename(&aside, &directory).expect("nothing is in its place");
    recovered(&demo).await;
    assert_eq!(browser.user().await, json!("anna"));
}

#[tokio::test]
async fn a_full_redis_reads_and_logs_out() {
    let _alone = EXCLUSIVE.lock().await;
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]).await;
    let demo = Demo::with(Backend::Redis.at(&server.url()), &[]).await;
    let mut browser = demo.logged_in("anna").await;
    assert!(server.command("CONFIG SET maxmemory 1").starts_with("+OK"));
    assert_eq!(browser.user().await, json!("anna"));
    assert_honest(&browser.put("/data/k", &json!(1)).await, "/data/k");
    assert_eq!(browser.user().await, json!("anna"));
    let mut stolen = browser.clone();
    assert_eq!(browser.post("/logout").await.status, 200);
    assert_eq!(stolen.user().await, json!(null));
    assert!(server.command("CONFIG SET maxmemory 0").starts_with("+OK"));
    assert_eq!(stolen.user().await, json!(null));
}

#[tokio::test]
async fn a_read_only_replica_confirms_no_logout() {
    let _alone = EXCLUSIVE.lock().await;
    let server = RedisServer::start(&[]).await;
    let demo = Demo::with(Backend::Redis.at(&server.url()), &[]).await;
    let mut browser = demo.logged_in("anna").await;
    let nobody = session_tests::free_port();
    let become_replica = format!("REPLICAOF 127.0.0.1 {nobody}");
    assert!(server.command(&become_replica).starts_with("+OK"));
    assert_eq!(browser.user().await, json!("anna"));
    for (method, path) in [(Method::POST, "/logout"), (Method::PUT, "/data/k")] {
        assert_honest(&browser.send(method, path, "1".into()).await, path);
    }
    assert_eq!(browser.user().await, json!("anna"));
    assert!(server.command("REPLICAOF NO ONE").starts_with("+OK"));
    assert_eq!(browser.clone().post("/logout").await.status, 200);
    assert_eq!(browser.user().await, json!(null));
}

#[tokio::test]
async fn a_locked_table_is_an_outage() {
    let _alone = EXCLUSIVE.lock().await;
    let server = Postgres::start().await;
    let demo = Demo::with(Backend::Postgres.at(&server.url()), &[]).await;
    let browser = demo.logged_in("anna").await;
    let mut other = PgConnection::connect(&server.url())
        .await
        .expect("the server answers");
    let lock = other.execute("BEGIN; LOCK TABLE sessions").await;
    lock.expect("nobody else uses the table");
    assert_outage(&browser, Duration::from_secs(1)).await;
    other.close().await.expect("the server answers");
    recovered(&demo).await;
    assert_eq!(browser.clone().user().await, json!("anna"));
}
