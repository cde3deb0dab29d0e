//! Records are swept at the same instant whatever the time zone of the server's connection.

use std::time::Duration;

use futures_util::future::join_all;
use session_core::SessionStore;
use session_sql::{SqlStore, sqlx};
use session_tests::sweep_up_to;
use sqlx::{AssertSqlSafe, Executor, mysql::MySqlPoolOptions, postgres::PgPoolOptions};

use crate::{
    databases::{TestDatabase, unique_table},
    records::{expired, insert, key, lasting, listed, load, owned, owner},
};

pub(crate) const ZONES: [&str; 4] = [
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
];

/// Zones for `MariaDB`, whose names of zones are in tables that an administrator has to load.
///
/// +13:00 is the largest offset.
pub(crate) const OFFSETS: [&str; 4] = ["+00:00", "-05:00", "+05:30", "+13:00"];

#[tokio::test]
async fn postgres_removes_sessions_at_the_same_instant_in_every_time_zone() {
    let database = sqlx::Postgres::open().await;
    // All at once, each in a table of its own, because each waits for a session to end.
    let zones = ZONES.map(async |zone| {
        let table = unique_table();
        database.migrated(&table).await;
        let pool = PgPoolOptions::new().after_connect(move |connection, _| {
            let set = AssertSqlSafe(format!("SET TIME ZONE '{zone}'"));
            Box::pin(async move { connection.execute(set).await.map(drop) })
        });
        let pool = pool.connect_lazy(&database.url).unwrap();
        removes_at_the_instant(&SqlStore::new(pool).with_table(table)).await;
    });
    join_all(zones).await;
}

#[tokio::test]
async fn mariadb_removes_sessions_at_the_same_instant_in_every_time_zone() {
    let database = sqlx::MySql::open().await;
    let zones = OFFSETS.map(async |zone| {
        let table = unique_table();
        database.migrated(&table).await;
        let pool = MySqlPoolOptions::new().after_connect(move |connection, _| {
            let set = AssertSqlSafe(format!("SET time_zone = '{zone}'"));
            Box::pin(async move { connection.execute(set).await.map(drop) })
        });
        let pool = pool.connect_lazy(&database.url).unwrap();
        removes_at_the_instant(&SqlStore::new(pool).with_table(table)).await;
    });
    join_all(zones).await;
}

async fn removes_at_the_instant<D: TestDatabase>(store: &SqlStore<D>) {
    let (soon, owner) = (Duration::from_secs(5), owner());
    let [live, ending, over] = [(); 3].map(|()| key());
    let of_owner = |record| owned(&owner, record);
    let lives = of_owner(lasting(b"live", Duration::from_secs(60)));
    insert(store, &live, &lives).await;
    let ends = of_owner(lasting(b"ending", soon));
    insert(store, &ending, &ends).await;
    insert(store, &over, &of_owner(expired(b"over"))).await;
    assert_eq!(listed(store, &owner).await.len(), 2);
    assert_eq!(sweep_up_to(store, 1000).await, 1);
    assert_eq!(load(store, &over).await, None);
    assert!(load(store, &ending).await.is_some());
    tokio::time::sleep(soon).await;
    assert!(
        load(store, &ending).await.is_some(),
        "a load must not compare the expiry with a clock"
    );
    assert_eq!(listed(store, &owner).await, std::slice::from_ref(&live));
    assert_eq!(sweep_up_to(store, 1000).await, 1);
    assert_eq!(load(store, &ending).await, None);
    assert!(load(store, &live).await.is_some());
    store.delete(&live).await.unwrap();
}
