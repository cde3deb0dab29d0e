//! How many statements a method sends, and how many rows they read.

use session_core::{OwnerIndex, OwnerKey, SessionStore};
use session_sql::{MySqlStore, sqlx};
use sqlx::{AssertSqlSafe, MySqlPool, Row, mysql::MySqlPoolOptions};

use crate::{
    databases::{Handle, TestDatabase, unique_table},
    records::{insert, key, load, record},
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
