//! Runs the HTTP tests on each store: this test program again, once for each.

use std::{env, process::Command, sync::Arc, time::Duration};

use futures_util::FutureExt;
use session_core::{MemoryStore, SessionStore};
use session_fs::FileStore;
use session_memcached::MemcachedStore;
use session_mongo::MongoStore;
use session_redis::RedisStore;
use session_tests::{MariaDb, Memcached, Mongo, Postgres, RedisServer, scratch_dir};

const STORE: &str = "SESSION_TEST_HTTP_STORE";
const ADDRESS: &str = "SESSION_TEST_HTTP_ADDRESS";

/// A busy machine is no outage.
const PATIENCE: Duration = Duration::from_secs(10);

/// What says nothing about a store, and takes long or needs one that answers at once.
const ELSEWHERE: &[&str] = &["interrupted::", "no_sequence_of_operations"];

/// What needs lists of a user's sessions.
const LISTS: &[&str] = &[
    "each_event_has_its_name",
    "a_login_beyond_the_limit",
    "its_sessions_are_in_the_list",
    "flask_cookie",
];

/// The store of one test: in memory, unless this process was started for another.
pub(crate) fn fresh() -> Arc<dyn SessionStore> {
    let address = env::var(ADDRESS).unwrap_or_default();
    match env::var(STORE).as_deref().unwrap_or("memory") {
        "memory" => Arc::new(MemoryStore::new()),
        "files" => Arc::new(FileStore::open(address).unwrap()),
        "redis" => {
            let store = RedisStore::connect(&address).unwrap();
            Arc::new(
                store
                    .with_response_timeout(PATIENCE)
                    .with_connect_timeout(PATIENCE),
            )
        }
        "memcached" => Arc::new(
            MemcachedStore::connect(&address)
                .unwrap()
                .with_timeout(PATIENCE),
        ),
        "mongodb" => {
            let connected = MongoStore::connect(&address).now_or_never();
            Arc::new(connected.expect("an address without a look-up").unwrap())
        }
        "sql" => session_sql::connect(&address).unwrap(),
        store => unreachable!("no test names {store}"),
    }
}

fn run_all(store: &str, address: &str, skipped: &[&str]) {
    let mut tests = Command::new(env::current_exe().unwrap());
    tests.args(["suite::", "--quiet"]);
    for name in ELSEWHERE.iter().chain(skipped) {
        tests.args(["--skip", name]);
    }
    tests.env(STORE, store).env(ADDRESS, address);
    let output = tests.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{store}: {text}");
    assert!(!text.contains(" 0 passed"), "{text}");
}

#[test]
fn on_files() {
    let directory = scratch_dir();
    let sessions = directory.path().join("sessions");
    run_all("files", sessions.to_str().unwrap(), &[]);
}

#[tokio::test]
async fn on_redis() {
    let server = RedisServer::start(&[]).await;
    run_all("redis", &server.url(), &[]);
}

#[tokio::test]
async fn on_memcached() {
    let server = Memcached::start(&[]).await;
    run_all("memcached", &server.addr(), LISTS);
}

#[tokio::test]
async fn on_mongodb() {
    let server = Mongo::start().await;
    let store = MongoStore::connect(&server.url()).await.unwrap();
    store.ensure_indexes().await.unwrap();
    let limits = "serverSelectionTimeoutMS=20000&connectTimeoutMS=20000";
    run_all("mongodb", &format!("{}?{limits}", server.url()), &[]);
}

async fn on_sql(url: &str) {
    let store = session_sql::connect(url).unwrap();
    store.migrate().await.unwrap();
    run_all("sql", url, &[]);
}

#[tokio::test]
async fn on_sqlite() {
    let directory = scratch_dir();
    let file = directory.path().join("sessions.db");
    on_sql(&format!("sqlite://{}?mode=rwc", file.display())).await;
}

#[tokio::test]
async fn on_postgres() {
    let server = Postgres::start().await;
    on_sql(&server.url()).await;
}

#[tokio::test]
async fn on_mariadb() {
    let server = MariaDb::start().await;
    on_sql(&server.url()).await;
}
