//! How many statements a method sends, and how many rows they read.

use std::{mem, str::FromStr, sync::Mutex, time::Duration};

use log::{Level, LevelFilter, Log, Metadata};
use session_core::{OwnerIndex, OwnerKey, SessionStore};
use session_sql::{MySqlStore, SqliteStore, sqlx};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, MySqlPool, Row, SqlitePool,
    mysql::MySqlPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::{
    databases::{Handle, TestDatabase, unique_table},
    records::{insert, key, lasting, load, owned, owner, record, stored},
};

#[tokio::test]
async fn each_method_sends_one_statement_to_mariadb() {
    let (database, table) = (sqlx::MySql::open().await, unique_table());
    database.migrated(&table).await;
    let pool = one_connection(&database);
    let store = MySqlStore::new(pool.clone()).with_table(table);
    check_one_statement_a_method(&store, &pool).await;
}

/// A pool of one connection, because the server counts the statements of each connection.
pub(crate) fn one_connection(database: &Handle<sqlx::MySql>) -> MySqlPool {
    let pool = MySqlPoolOptions::new().max_connections(1);
    pool.connect_lazy(&database.url).unwrap()
}

pub(crate) async fn check_one_statement_a_method(store: &dyn SessionStore, pool: &MySqlPool) {
    let key = key();

    let before = commands_sent(pool).await;
    let revision = insert(store, &key, &record(b"one")).await;
    assert_eq!(commands_sent(pool).await - before, 1, "insert");

    let before = commands_sent(pool).await;
    load(store, &key).await.unwrap();
    assert_eq!(commands_sent(pool).await - before, 1, "load");

    let before = commands_sent(pool).await;
    let write = store.update(&key, &record(b"two"), &revision).await;
    assert!(write.unwrap().is_stored());
    assert_eq!(commands_sent(pool).await - before, 1, "update");

    let before = commands_sent(pool).await;
    store.delete(&key).await.unwrap();
    assert_eq!(commands_sent(pool).await - before, 1, "delete");
}

/// The statements of `SQLite` connections that log them at this level, which no others do.
struct Statements(Mutex<Vec<String>>);

const LOGGED_AT: LevelFilter = LevelFilter::Trace;
static STATEMENTS: Statements = Statements(Mutex::new(Vec::new()));

impl Statements {
    /// What those since the last call do.
    fn taken(&self) -> Vec<String> {
        mem::take(&mut self.0.lock().unwrap())
    }
}

impl Log for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query" && metadata.level() == Level::Trace
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            // summary="SELECT a, b …" and more
            let fields = record.args().to_string();
            let verb = fields.split(['"', ' ']).nth(1).unwrap();
            self.0.lock().unwrap().push(verb.to_owned());
        }
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn each_method_runs_one_statement_of_sqlite_and_some_updates_two() {
    let (database, table) = (sqlx::Sqlite::open().await, unique_table());
    database.migrated(&table).await;
    log::set_logger(&STATEMENTS).expect("no other test sets one");
    log::set_max_level(LOGGED_AT);
    let options = SqliteConnectOptions::from_str(&database.url).unwrap();
    let options = options
        .log_statements(LOGGED_AT)
        .log_slow_statements(LOGGED_AT, Duration::MAX);
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_lazy_with(options);
    let prepared = async |pool: &SqlitePool| pool.acquire().await.unwrap().cached_statements_size();
    let store = SqliteStore::new(pool.clone()).with_table(table);
    let before = prepared(&pool).await;
    STATEMENTS.taken();
    for _ in 0..100 {
        let key = key();
        insert(&store, &key, &record(b"one")).await;
        assert_eq!(STATEMENTS.taken(), ["INSERT"]);
        let loaded = load(&store, &key).await.unwrap();
        assert_eq!(STATEMENTS.taken(), ["SELECT"]);
        let later = lasting(b"two", Duration::from_secs(7200));
        let mut revision = stored(store.update(&key, &later, &loaded.revision).await);
        assert_eq!(STATEMENTS.taken(), ["UPDATE"]);
        let refused = store.update(&key, &later, &loaded.revision).await;
        assert!(!refused.unwrap().is_stored());
        assert_eq!(STATEMENTS.taken(), ["UPDATE", "UPDATE"]);
        for change in [
            lasting(b"sooner", Duration::from_secs(60)),
            owned(&owner(), record(b"of another owner")),
        ] {
            revision = stored(store.update(&key, &change, &revision).await);
            assert_eq!(STATEMENTS.taken(), ["UPDATE", "UPDATE"]);
        }
        store.delete(&key).await.unwrap();
        assert_eq!(STATEMENTS.taken(), ["DELETE"]);
    }
    assert_eq!(prepared(&pool).await - before, 5, "each is prepared once");
}

#[tokio::test]
async fn a_page_of_an_owners_records_reads_no_other_records_of_mariadb() {
    let (database, table) = (sqlx::MySql::open().await, unique_table());
    database.migrated(&table).await;
    let rows: Vec<_> = (0..2000)
        .map(|row| {
            let owner = if row % 8 == 0 { "ada" } else { "grace" };
            format!("('{row:04}', 1, 1, 1, '{owner}', {}, 'x')", i64::MAX)
        })
        .collect();
    let fill = format!(
        "INSERT INTO {table} (store_key, revision, expires_at, sweep_at, owner, listed_until, payload) \
         VALUES {}",
        rows.join(", ")
    );
    database.execute(&fill).await;
    let pool = one_connection(&database);
    let store = MySqlStore::new(pool.clone()).with_table(table);
    let ada = OwnerKey::from_stored("ada");
    let before = server_counter(&pool, "Handler_read_next").await;
    let first = store.owned_by(&ada, None, 10).await.unwrap();
    let second = store.owned_by(&ada, first.next.as_ref(), 10).await.unwrap();
    let read = server_counter(&pool, "Handler_read_next").await - before;
    let keys = first
        .records
        .iter()
        .chain(&second.records)
        .map(|it| it.key.as_str());
    assert!(keys.eq((0..20).map(|row| format!("{:04}", row * 8))));
    assert!(read <= 22, "{read} rows were read for 20");
}

/// How many statements the connection has executed, without the ones that ask for it.
async fn commands_sent(pool: &MySqlPool) -> i64 {
    let mut sum = 0;
    for command in [
        "select", "insert", "update", "delete", "commit", "begin", "rollback",
    ] {
        sum += server_counter(pool, &format!("Com_{command}")).await;
    }
    sum
}

/// A counter of the server for the connection.
pub(crate) async fn server_counter(pool: &MySqlPool, counter: &str) -> i64 {
    // Not prepared, so that the question itself is not counted.
    let sql = AssertSqlSafe(format!("SHOW SESSION STATUS LIKE '{counter}'"));
    let row = sqlx::raw_sql(sql).fetch_one(pool).await.unwrap();
    row.get::<String, _>(1).parse().unwrap()
}
