use std::time::{Duration, SystemTime};

use session_core::{ExpiredSweep, SessionStore};
use session_sql::{FlaskSqlStore, SqlStore, sqlx};
use sqlx::{AssertSqlSafe, Executor, mysql::MySqlPoolOptions, postgres::PgPoolOptions};

use super::tables::FlaskPlace;
use crate::{
    clock::{OFFSETS, ZONES},
    databases::{Place, own_table},
    records::{ended, insert, key, lasting, load},
};

#[tokio::test]
async fn postgres_ends_flasks_sessions_at_the_same_instant_in_every_time_zone() {
    let (place, table) = (sqlx::Postgres::place().await, own_table());
    place.theirs(&table).await;
    for zone in ZONES {
        let pool = PgPoolOptions::new().after_connect(move |connection, _| {
            let set = AssertSqlSafe(format!(
                "SET TIME ZONE '{zone}'; SET DateStyle TO 'German, DMY'"
            ));
            Box::pin(async move { sqlx::raw_sql(set).execute(connection).await.map(drop) })
        });
        let store = SqlStore::new(pool.connect_lazy(&place.url).unwrap());
        ends_in_time(&store.with_table(table.clone()).with_flask_layout()).await;
    }
}

#[tokio::test]
async fn mariadb_ends_flasks_sessions_at_the_same_instant_in_every_time_zone() {
    let (place, table) = (sqlx::MySql::place().await, own_table());
    place.theirs(&table).await;
    for zone in OFFSETS {
        let pool = MySqlPoolOptions::new().after_connect(move |connection, _| {
            let set = AssertSqlSafe(format!("SET time_zone = '{zone}'"));
            Box::pin(async move { connection.execute(set).await.map(drop) })
        });
        let store = SqlStore::new(pool.connect_lazy(&place.url).unwrap());
        ends_in_time(&store.with_table(table.clone()).with_flask_layout()).await;
    }
}

async fn ends_in_time<D: FlaskPlace>(store: &FlaskSqlStore<D>) {
    // MariaDB may take a second off.
    let soon = Duration::from_millis(1900);
    let [live, ending, gone] = [(); 3].map(|()| key());
    insert(store, &live, &lasting(b"live", Duration::from_secs(9))).await;
    insert(store, &ending, &lasting(b"ending", soon)).await;
    insert(store, &gone, &ended(b"gone")).await;
    assert_eq!(store.sweep(1000).await.unwrap(), 1);
    assert_eq!(load(store, &gone).await, None);
    let told = async |key| load(store, key).await.unwrap().expires_at > Some(SystemTime::now());
    assert!(told(&ending).await);
    tokio::time::sleep(soon).await;
    assert!(!told(&ending).await, "it does not end");
    assert!(told(&live).await);
    assert_eq!(store.sweep(1000).await.unwrap(), 1);
    assert!(load(store, &live).await.is_some());
    store.delete(&live).await.unwrap();
}
