//! Indexes of a large table that are created while its sessions are in use.
//!
//! `SESSION_TEST_ROWS=5000000` makes the table as large as in `cargo xtask soak`.

use std::{
    env,
    ops::Deref,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use session_core::{SessionStore as _, StoreKey};
use session_sql::{SqlStore, TableName, sqlx};
use session_tests::{MariaDb, Postgres, Server, Watch, assert_in_time};

use crate::{
    databases::{Handle, TestDatabase},
    records::{error_chain, load, record},
};

const ROWS: usize = 50_000;
const FIRST_ROWS: usize = 1_000;
const VISITORS: usize = 4;
/// What a request may take.
const LIMIT: Duration = Duration::from_millis(1500);

/// A server with room for a large table.
trait Roomy: TestDatabase {
    type Server: Deref<Target = Server> + Send + Sync + 'static;
    /// A digest of the bytes and of a number, as another row's key.
    const OTHER_KEY: &'static str;
    /// What keeps a statement from locking everybody out behind a long transaction, as the README
    /// says.
    const BEFORE: &'static str;

    async fn start() -> (Self::Server, Handle<Self>);
}

impl Roomy for sqlx::Postgres {
    type Server = Postgres;
    const OTHER_KEY: &'static str =
        "('row:' || encode(sha256(store_key || '\\x{number}'), 'hex'))::bytea";
    const BEFORE: &'static str = "SET lock_timeout = 0";

    async fn start() -> (Postgres, Handle<Self>) {
        let server = Postgres::start_with(&["shared_buffers=512MB", "max_wal_size=4GB"]).await;
        let url = server.url();
        (server, Handle::new(url, ()))
    }
}

impl Roomy for sqlx::MySql {
    type Server = MariaDb;
    const OTHER_KEY: &'static str = "CONCAT('row:', SHA2(CONCAT(store_key, '{number}'), 256))";
    const BEFORE: &'static str = "SET SESSION lock_wait_timeout = 1";

    async fn start() -> (MariaDb, Handle<Self>) {
        // Otherwise a save waits for the disk for seconds.
        let log = if MariaDb::starts_mysql() {
            "--innodb-redo-log-capacity=1G"
        } else {
            "--innodb-log-file-size=512M"
        };
        let server = MariaDb::start_with(&["--innodb-buffer-pool-size=2G", log]).await;
        let url = server.url();
        (server, Handle::new(url, ()))
    }
}

// Not by `each_server!`, which gives a test a minute.
#[tokio::test]
async fn no_request_waits_for_an_index_of_postgres_that_is_created() {
    no_request_waits_for_an_index_that_is_created::<sqlx::Postgres>().await;
}

#[tokio::test]
async fn no_request_waits_for_an_index_of_mariadb_that_is_created() {
    no_request_waits_for_an_index_that_is_created::<sqlx::MySql>().await;
}

fn rows() -> usize {
    let rows = env::var("SESSION_TEST_ROWS").ok();
    rows.map_or(ROWS, |rows| {
        rows.parse().expect("SESSION_TEST_ROWS is a number")
    })
}

/// The key of a session that is in use.
fn key(number: usize) -> StoreKey {
    StoreKey::from_stored(format!("row:{:064x}", number % FIRST_ROWS))
}

/// Fills the table with live sessions of 300 bytes.
async fn fill<D: Roomy>(connection: &mut D::Connection, table: &str, rows: usize) {
    let payload = D::bytes(&[7; 300]);
    let columns = "store_key, payload, revision, expires_at, sweep_at, owner";
    // In the year 2100.
    let end = 4_102_444_800_000_000_u64;
    let first: Vec<_> = (0..FIRST_ROWS)
        .map(|number| {
            let key = D::bytes(key(number).as_str().as_bytes());
            let owner = D::bytes(format!("owner:{}", number % 100).as_bytes());
            // No two ends are equal, as in an application.
            let end = end + number as u64;
            format!("({key}, {payload}, 1, {end}, {end}, {owner})")
        })
        .collect();
    let first = first.join(", ");
    let sql = format!("INSERT INTO {table} ({columns}) VALUES {first}");
    D::execute(connection, &sql).await.unwrap();
    let mut filled = FIRST_ROWS;
    for number in 10.. {
        let more = filled.min(rows.saturating_sub(filled));
        if more == 0 {
            return;
        }
        let other = D::OTHER_KEY.replace("{number}", &number.to_string());
        let sql = format!(
            "INSERT INTO {table} ({columns}) SELECT {other}, payload, 1, expires_at + {number}, \
             sweep_at + {number}, owner FROM {table} LIMIT {more}"
        );
        D::execute(connection, &sql).await.unwrap();
        filled += more;
    }
}

/// What a request does that changes its session; its time.
async fn request<D: Roomy>(store: &SqlStore<D>, number: usize) -> Duration {
    let began = Watch::start();
    let loaded = load(store, &key(number)).await.expect("the row is there");
    let changed = record(&[8; 300]);
    let write = store
        .update(&key(number), &changed, &loaded.revision)
        .await
        .expect("the store answers");
    assert!(write.is_stored());
    began.stop(LIMIT).await
}

async fn no_request_waits_for_an_index_that_is_created<D: Roomy>() {
    let (_server, database) = D::start().await;
    // Without its key each request reads the whole table, so no application has a large one.
    let (key, small) = (TableName::new("small").unwrap(), ROWS / 5);
    let drop = D::DROP_PRIMARY_KEY[0].to_owned();
    let lost = [("store_key", drop)];
    no_request_waits_on(&database, &key, small, lost).await;
    let indexes = ["sweep_at", "owner", "provider_session"];
    let lost = indexes.map(|index| (index, D::DROP_INDEX.replace("{index}", index)));
    no_request_waits_on(&database, &TableName::default(), rows(), lost).await;
}

/// Each of `lost`, an index and what drops it, is created by what `migrate()` says.
async fn no_request_waits_on<D: Roomy>(
    database: &Handle<D>,
    table: &TableName,
    rows: usize,
    lost: impl IntoIterator<Item = (&'static str, String)>,
) {
    let store = database.migrated(table).await;
    let mut connection = database.connect().await;
    let began = Instant::now();
    fill::<D>(&mut connection, table.table(), rows).await;
    eprintln!("{rows} rows after {:.1?}", began.elapsed());
    D::execute(&mut connection, D::BEFORE).await.unwrap();
    for (index, drop) in lost {
        let drop = drop.replace("{table}", table.table());
        D::execute(&mut connection, &drop).await.unwrap();
        let error = error_chain(&store.migrate().await.unwrap_err());
        let (_, statement) = error.split_once("create it by ").expect("it says how");
        let began = Instant::now();
        let is_created = async {
            D::execute(&mut connection, statement).await.unwrap();
            began.elapsed()
        };
        tokio::pin!(is_created);
        let (mut requests, mut slowest, mut number) = (0, Duration::ZERO, 0);
        let took = loop {
            // Different sessions, or the visitors would refuse each other's changes.
            let numbers = number..number + VISITORS;
            number = numbers.end;
            let visitors = numbers.map(|number| request(&store, number));
            let mut visitors = std::pin::pin!(join_all(visitors));
            let (took, times) = tokio::select! {
                took = &mut is_created => (Some(took), visitors.await),
                times = &mut visitors => (None, times),
            };
            requests += times.len();
            slowest = slowest.max(times.into_iter().max().expect("visitors"));
            if let Some(took) = took {
                break took;
            }
        };
        eprintln!("{index}: {took:.1?}, slowest of {requests} requests {slowest:.3?}");
        assert_in_time!(slowest < LIMIT, "{index}: a request took {slowest:?}");
        store.migrate().await.expect("the table is whole again");
    }
}
