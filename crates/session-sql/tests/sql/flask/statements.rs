//! How many statements a method sends in Flask-Session's layout, and how many rows they read.

use session_core::SessionStore;
use session_sql::{MySqlStore, sqlx};

use crate::{
    databases::{TestDatabase, unique_table},
    records::{insert, key, load, record},
    statements::{check_one_statement_a_method, one_connection, server_counter},
};

#[tokio::test]
async fn each_method_sends_one_statement_to_mariadb() {
    let (database, table) = (sqlx::MySql::open().await, unique_table());
    database.with_flask_table(&table).await;
    let pool = one_connection(&database);
    let store = MySqlStore::new(pool.clone()).with_table(table);
    check_one_statement_a_method(&store.with_flask_layout(), &pool).await;
}

#[tokio::test]
async fn each_method_finds_the_row_of_mariadb_by_its_index() {
    let (database, table) = (sqlx::MySql::open().await, unique_table());
    database.with_flask_table(&table).await;
    let rows: Vec<_> = (0..300).map(|row| format!("('flask:{row}')")).collect();
    let fill = format!(
        "INSERT INTO {table} (session_id) VALUES {}",
        rows.join(", ")
    );
    database.execute(&fill).await;
    let pool = one_connection(&database);
    let store = MySqlStore::new(pool.clone()).with_table(table);
    let store = store.with_flask_layout();
    let key = key();
    let before = server_counter(&pool, "Handler_read_rnd_next").await;
    let of_a_question = server_counter(&pool, "Handler_read_rnd_next").await - before;
    let revision = insert(&store, &key, &record(b"one")).await;
    load(&store, &key).await.unwrap();
    let write = store.update(&key, &record(b"two"), &revision).await;
    assert!(write.unwrap().is_stored());
    store.delete(&key).await.unwrap();
    let after = server_counter(&pool, "Handler_read_rnd_next").await;
    // Each question reads the table of counters, too.
    assert_eq!(
        after - before,
        2 * of_a_question,
        "rows were read one after the other"
    );
}
