//! Writers and sweeps at the strict isolation levels, in Flask-Session's layout.

use session_sql::sqlx;

use crate::{
    databases::{TestDatabase, unique_table},
    isolation::{
        MARIADB_LEVELS, POSTGRES_LEVELS, mariadb_store, postgres_store, write_during_sweeps,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_shows_no_deadlock_in_flasks_table() {
    for level in POSTGRES_LEVELS {
        let (database, table) = (sqlx::Postgres::open().await, unique_table());
        database.with_flask_table(&table).await;
        let store = postgres_store(&database, level).await;
        write_during_sweeps(store.with_table(table).with_flask_layout()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_shows_no_deadlock_in_flasks_table() {
    for level in MARIADB_LEVELS {
        let (database, table) = (sqlx::MySql::open().await, unique_table());
        database.with_flask_table(&table).await;
        let store = mariadb_store(&database, level);
        write_during_sweeps(store.with_table(table).with_flask_layout()).await;
    }
}
