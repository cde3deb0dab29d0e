//! Flask's sessions end at the same instant whatever the time zone of the connection.

use std::time::{Duration, SystemTime};

use session_core::SessionStore;
use session_sql::{FlaskSqlStore, SqlStore, sqlx};
use session_tests::sweep_up_to;
use sqlx::{AssertSqlSafe, Executor, mysql::MySqlPoolOptions, postgres::PgPoolOptions};

use super::tables::FlaskDatabase;
use crate::{
    clock::{OFFSETS, ZONES},
    databases::{TestDatabase, unique_table},
    records::{expired, insert, key, lasting, load},
};

#[tokio::test]
async fn postgres_ends_flasks_sessions_at_the_same_instant_in_every_time_zone() {
    let (database, table) = (sqlx::Postgres::open().await, unique_table());
    database.with_flask_table(&table).await;
    for zone in ZONES {
        let pool = PgPoolOptions::new().after_connect(move |connection, _| {
            let set = AssertSqlSafe(format!(
                "SET TIME ZONE '{zone}'; SET DateStyle TO 'German, DMY'"
            ));
            Box::pin(async move { sqlx::raw_sql(set).execute(connection).await.map(drop) })
        });
        let store = SqlStore::new(pool.connect_lazy(&database.url).unwrap());
        ends_in_time(&store.with_table(table.clone()).with_flask_layout()).await;
    }
}

#[tokio::test]
async fn mariadb_ends_flasks_sessions_at_the_same_instant_in_every_time_zone() {
    let (database, table) = (sqlx::MySql::open().await, unique_table());
    database.with_flask_table(&table).await;
    for zone in OFFSETS {
        let pool = MySqlPoolOptions::new().after_connect(move |connection, _| {
            let set = AssertSqlSafe(format!("SET time_zone = '{zone}'"));
            Box::pin(async move { connection.execute(set).await.map(drop) })
        });
        let store = SqlStore::new(pool.connect_lazy(&database.url).unwrap());
        ends_in_time(&store.with_table(table.clone()).with_flask_layout()).await;
    }
}

async fn ends_in_time<D: FlaskDatabase>(store: &FlaskSqlStore<D>) {
    // MariaDB may round down by up to a second.
    let soon = Duration::from_millis(1900);
    let [live, ending, over] = [(); 3].map(|()| key());
    insert(store, &live, &lasting(b"live", Duration::from_secs(9))).await;
    insert(store, &ending, &lasting(b"ending", soon)).await;
    insert(store, &over, &expired(b"over")).await;
    assert_eq!(sweep_up_to(store, 1000).await, 1);
    assert_eq!(load(store, &over).await, None);
    let is_live = async |key| load(store, key).await.unwrap().expires_at > Some(SystemTime::now());
    assert!(is_live(&ending).await);
    tokio::time::sleep(soon).await;
    assert!(!is_live(&ending).await, "the session does not end");
    assert!(is_live(&live).await);
    assert_eq!(sweep_up_to(store, 1000).await, 1);
    assert!(load(store, &live).await.is_some());
    store.delete(&live).await.unwrap();
}
