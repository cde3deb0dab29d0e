use session_core::{OwnerIndex, OwnerKey, SessionStore};
use session_sql::{MySqlStore, sqlx};
use sqlx::{AssertSqlSafe, MySqlPool, Row, mysql::MySqlPoolOptions};

use crate::{
    databases::{Place, own_table},
    records::{insert, key, load, record},
};

#[tokio::test]
async fn each_method_sends_one_statement() {
    let place = sqlx::MySql::place().await;
    let table = own_table();
    place.migrated(&table).await;
    // Of one connection, because its own statements are what a server can count.
    let pool = MySqlPoolOptions::new()
        .max_connections(1)
        .connect_lazy(&place.url)
        .unwrap();
    let store = MySqlStore::new(pool.clone()).with_table(table);
    one_for_each_method(&store, &pool).await;
    let theirs = own_table();
    place.theirs(&theirs).await;
    let store = store.with_table(theirs).with_flask_layout();
    one_for_each_method(&store, &pool).await;
}

async fn one_for_each_method(store: &dyn SessionStore, pool: &MySqlPool) {
    let key = key();

    let before = sent(pool).await;
    let revision = insert(store, &key, &record(b"one")).await;
    assert_eq!(sent(pool).await - before, 1, "insert");

    let before = sent(pool).await;
    load(store, &key).await.unwrap();
    assert_eq!(sent(pool).await - before, 1, "load");

    let before = sent(pool).await;
    let write = store.update(&key, &record(b"two"), &revision).await;
    assert!(write.unwrap().is_stored());
    assert_eq!(sent(pool).await - before, 1, "update");

    let before = sent(pool).await;
    store.delete(&key).await.unwrap();
    assert_eq!(sent(pool).await - before, 1, "delete");
}

#[tokio::test]
async fn every_method_finds_flasks_row_by_its_index() {
    let (place, table) = (sqlx::MySql::place().await, own_table());
    place.theirs(&table).await;
    let rows: Vec<_> = (0..300).map(|row| format!("('flask:{row}')")).collect();
    let fill = format!(
        "INSERT INTO {table} (session_id) VALUES {}",
        rows.join(", ")
    );
    place.execute(&fill).await;
    let pool = MySqlPoolOptions::new()
        .max_connections(1)
        .connect_lazy(&place.url)
        .unwrap();
    let store = MySqlStore::new(pool.clone()).with_table(table);
    let store = store.with_flask_layout();
    let key = key();
    let before = counted(&pool, "Handler_read_rnd_next").await;
    let unread = counted(&pool, "Handler_read_rnd_next").await - before;
    let revision = insert(&store, &key, &record(b"one")).await;
    load(&store, &key).await.unwrap();
    let write = store.update(&key, &record(b"two"), &revision).await;
    assert!(write.unwrap().is_stored());
    store.delete(&key).await.unwrap();
    let after = counted(&pool, "Handler_read_rnd_next").await;
    // To ask is to read the table of counters.
    assert_eq!(
        after - before,
        2 * unread,
        "rows were read one after the other"
    );
}

#[tokio::test]
async fn a_page_of_an_owners_records_reads_no_others() {
    let (place, table) = (sqlx::MySql::place().await, own_table());
    place.migrated(&table).await;
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
    place.execute(&fill).await;
    let pool = MySqlPoolOptions::new()
        .max_connections(1)
        .connect_lazy(&place.url)
        .unwrap();
    let store = MySqlStore::new(pool.clone()).with_table(table);
    let ada = OwnerKey::from_stored("ada");
    let before = counted(&pool, "Handler_read_next").await;
    let first = store.owned_by(&ada, None, 10).await.unwrap();
    let second = store.owned_by(&ada, first.next.as_ref(), 10).await.unwrap();
    let read = counted(&pool, "Handler_read_next").await - before;
    let keys = first
        .records
        .iter()
        .chain(&second.records)
        .map(|it| it.key.as_str());
    assert!(keys.eq((0..20).map(|row| format!("{:04}", row * 8))));
    assert!(read <= 22, "{read} rows were read for 20");
}

/// How many statements the connection has executed, this one excepted.
async fn sent(pool: &MySqlPool) -> i64 {
    let mut sum = 0;
    for command in [
        "select", "insert", "update", "delete", "commit", "begin", "rollback",
    ] {
        sum += counted(pool, &format!("Com_{command}")).await;
    }
    sum
}

/// What the server has counted for the connection.
async fn counted(pool: &MySqlPool, counter: &str) -> i64 {
    // As text, so that asking does not count as preparing.
    let sql = AssertSqlSafe(format!("SHOW SESSION STATUS LIKE '{counter}'"));
    let row = sqlx::raw_sql(sql).fetch_one(pool).await.unwrap();
    row.get::<String, _>(1).parse().unwrap()
}
