use session_core::SessionStore;
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
    let key = key();

    let before = sent(&pool).await;
    let revision = insert(&store, &key, &record(b"one")).await;
    assert_eq!(sent(&pool).await - before, 1, "insert");

    let before = sent(&pool).await;
    load(&store, &key).await.unwrap();
    assert_eq!(sent(&pool).await - before, 1, "load");

    let before = sent(&pool).await;
    let write = store.update(&key, &record(b"two"), &revision).await;
    assert!(write.unwrap().is_stored());
    assert_eq!(sent(&pool).await - before, 1, "update");

    let before = sent(&pool).await;
    let _ = store.touch(&key, record(b"").expires_at).await.unwrap();
    assert_eq!(sent(&pool).await - before, 1, "touch");

    let before = sent(&pool).await;
    store.delete(&key).await.unwrap();
    assert_eq!(sent(&pool).await - before, 1, "delete");
}

/// How many statements the connection has executed, this one excepted.
async fn sent(pool: &MySqlPool) -> i64 {
    let mut sum = 0;
    for command in [
        "select", "insert", "update", "delete", "commit", "begin", "rollback",
    ] {
        // As text, so that asking does not count as preparing.
        let sql = AssertSqlSafe(format!("SHOW SESSION STATUS LIKE 'Com_{command}'"));
        let row = sqlx::raw_sql(sql).fetch_one(pool).await.unwrap();
        sum += row.get::<String, _>(1).parse::<i64>().unwrap();
    }
    sum
}
