use std::time::{Duration, Instant};

use session_core::SessionStore;
use session_sql::{
    SqlStore,
    sqlx::{MySql, pool::PoolConnection},
};
use tokio::time::timeout;

use crate::{
    databases::{Place, each_database, own_table},
    patience::{all_works_soon, nothing_works},
    records::{insert, key, load, record},
};

const RECOVERY: Duration = Duration::from_secs(5);

each_database!(
    after_2000_cancelled_requests_no_connection_is_lost_and_no_answer_mixed_up,
    an_exhausted_pool_is_an_error_in_time
);

async fn after_2000_cancelled_requests_no_connection_is_lost_and_no_answer_mixed_up<D: Place>() {
    let place = D::place().await;
    let store = place.migrated(&own_table()).await;
    let keys: Vec<_> = (0..20).map(|_| key()).collect();
    for key in &keys {
        insert(&store, key, &record(key.as_str().as_bytes())).await;
    }
    let mut cancelled = 0;
    let mut micros = 0;
    while cancelled < 2000 {
        let calls = keys.iter().enumerate().map(|(number, key)| {
            let (store, key) = (store.clone(), key.clone());
            // From before the first step of a call to after its last.
            micros = (micros + 37) % 4000;
            let patience = Duration::from_micros(micros);
            tokio::spawn(timeout(patience, async move {
                if number % 3 == 0 {
                    let again = record(key.as_str().as_bytes());
                    drop(store.insert(&key, &again).await);
                }
                let loaded = load(&store, &key).await.expect("it lives");
                assert_eq!(loaded.bytes, key.as_str().as_bytes(), "another's answer");
            }))
        });
        for call in calls.collect::<Vec<_>>() {
            cancelled += usize::from(call.await.expect("no answer is another's").is_err());
        }
    }
    drop(every_connection(&store).await);
    for key in &keys {
        let loaded = load(&store, key).await.expect("it lives");
        assert_eq!(loaded.bytes, key.as_str().as_bytes(), "another's answer");
    }
}

async fn an_exhausted_pool_is_an_error_in_time<D: Place>() {
    let place = D::place().await;
    let store = place.migrated(&own_table()).await;
    let held = every_connection(&store).await;
    nothing_works(&store).await;
    drop(held);
    all_works_soon(&store).await;
}

/// As many connections as the pool may have: none was lost.
async fn every_connection<D: Place>(store: &SqlStore<D>) -> Vec<PoolConnection<D>> {
    let pool = store.pool();
    let most = pool.options().get_max_connections();
    let mut held = vec![];
    let began = Instant::now();
    while held.len() < most as usize {
        // A server that still sweeps up after abandoned connections takes its time with a new one.
        match pool.acquire().await {
            Ok(connection) => held.push(connection),
            Err(error) => assert!(
                began.elapsed() < RECOVERY,
                "{} are there: {error}",
                held.len()
            ),
        }
    }
    held
}

#[test]
fn mariadb_ends_what_takes_too_long() {
    session_core::conformance::run(async {
        let store = MySql::place().await.migrated(&own_table()).await;
        let limits = "SELECT CAST(@@autocommit = 1 AND @@lock_wait_timeout = 1 AND @@innodb_lock_wait_timeout = 1 \
            AND @@max_statement_time = 2 AS SIGNED)";
        let mut connection = store.pool().acquire().await.expect("it is there");
        let set = MySql::number(&mut connection, limits).await;
        assert_eq!(set.expect("the limits can be read"), 1);
    });
}

#[tokio::test]
async fn a_constructor_neither_connects_nor_waits() {
    let began = Instant::now();
    for url in [
        "postgres://u:p@192.0.2.1/d",
        "mysql://u:p@192.0.2.1/d",
        "sqlite:///no/such/file",
    ] {
        session_sql::connect(url).expect("the URL is right");
    }
    assert!(began.elapsed() < Duration::from_millis(100));
}
