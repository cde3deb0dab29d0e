//! How many connections a store opens while its server cannot be reached, and who gets which error.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use session_core::SessionStore;
use session_sql::{
    SqlStore,
    sqlx::{Connection, Pool, pool::PoolOptions},
};
use session_tests::{ChaosProxy, Disruption, Strike, Watch, assert_in_time};
use tokio::time::{sleep, timeout};

use crate::{
    availability::{recovers_soon, succeeds},
    databases::{TestDatabase, each_server},
    lost_reply::database_behind_proxy,
    records::{error_chain, key},
    unreachable_server::REQUEST,
};

/// The connections of a pool that `connect` makes.
const POOL: usize = 10;

/// A silent attempt lasts for 800 ms. So many fit into the time since `began`, with one that was
/// under way and one that is.
fn most_attempts(began: Instant) -> usize {
    2 + usize::try_from(began.elapsed().as_millis() / 800).expect("it is short")
}

each_server!(
    three_hundred_calls_to_a_silent_server_open_few_connections,
    three_hundred_calls_on_a_pool_of_the_application_open_few_connections,
    dropped_calls_to_a_silent_server_open_few_connections,
    a_slow_server_serves_all_calls_after_an_outage,
    calls_share_the_connections_that_are_open_while_none_can_be_opened,
    a_pool_with_more_time_serves_again_although_each_connection_takes_long,
);

async fn three_hundred_calls_to_a_silent_server_open_few_connections<D: TestDatabase>() {
    let (database, table, proxy) = database_behind_proxy::<D>().await;
    few_are_opened(&database.store(&table), &proxy).await;
}

async fn three_hundred_calls_on_a_pool_of_the_application_open_few_connections<D: TestDatabase>() {
    let (database, table, proxy) = database_behind_proxy::<D>().await;
    let pool: Pool<D> = PoolOptions::new()
        .acquire_timeout(Duration::from_millis(800))
        .connect_lazy(&database.url)
        .expect("the URL is valid");
    few_are_opened(&SqlStore::new(pool).with_table(table), &proxy).await;
}

/// Three hundred calls within 0.9 s.
async fn few_are_opened<D: TestDatabase>(store: &SqlStore<D>, proxy: &ChaosProxy) {
    proxy.set(Disruption::Blackhole);
    let silent = AtomicUsize::new(0);
    let began = Instant::now();
    let calls = (0..300).map(|number| {
        let silent = &silent;
        async move {
            sleep(Duration::from_millis(number * 3)).await;
            let watch = Watch::start();
            let error = store.load(&key()).await.expect_err("the server is silent");
            let took = watch.stop(REQUEST).await;
            assert_in_time!(took < REQUEST, "{took:?}");
            let names_cause = error_chain(&error).contains("does not answer");
            silent.fetch_add(usize::from(names_cause), Relaxed);
        }
    });
    join_all(calls).await;
    let opened = proxy.connections();
    assert!(
        opened <= POOL + most_attempts(began),
        "{opened} connections"
    );
    // If the machine stalls, some may find all places taken by calls that are connecting.
    let silent = silent.into_inner();
    assert!(silent > 250, "{silent} errors name the cause");
    proxy.set(Disruption::None);
    recovers_soon(store).await;
}

/// As a visitor leaves, or the time of a request is shorter than the wait for a connection.
async fn dropped_calls_to_a_silent_server_open_few_connections<D: TestDatabase>() {
    let (database, table, proxy) = database_behind_proxy::<D>().await;
    let store = database.store(&table);
    proxy.set(Disruption::Blackhole);
    assert!(!succeeds(store.load(&key())).await);
    let (before, began) = (proxy.connections(), Instant::now());
    for _ in 0..30 {
        let calls = (0..10).map(|_| {
            let store = store.clone();
            async move { timeout(Duration::from_millis(20), store.load(&key())).await }
        });
        join_all(calls).await;
    }
    let opened = proxy.connections() - before;
    assert!(opened <= most_attempts(began), "{opened} connections");
    proxy.set(Disruption::None);
    recovers_soon(&store).await;
}

async fn a_slow_server_serves_all_calls_after_an_outage<D: TestDatabase>() {
    let (database, table, proxy) = database_behind_proxy::<D>().await;
    let store = database.store(&table);
    proxy.set(Disruption::Blackhole);
    assert!(!succeeds(store.load(&key())).await);
    // Longer for a whole connection than a request waits to learn why it has none.
    proxy.set(Disruption::Latency(Duration::from_millis(30)));
    recovers_soon(&store).await;
    proxy.reset_connections();
    sleep(Duration::from_millis(100)).await;
    let calls = (0..20).map(|_| async { succeeds(store.load(&key())).await });
    let successes = join_all(calls).await;
    assert_eq!(successes, [true; 20]);
}

async fn calls_share_the_connections_that_are_open_while_none_can_be_opened<D: TestDatabase>() {
    let (database, table, proxy) = database_behind_proxy::<D>().await;
    let store = database.store(&table);
    let calls = || async {
        let calls = (0..20).map(|_| async { succeeds(store.load(&key())).await });
        let results = join_all(calls).await;
        results.into_iter().filter(|succeeded| *succeeded).count()
    };
    let mut held = vec![];
    for _ in 0..3 {
        held.push(store.pool().acquire().await.unwrap());
    }
    for mut connection in held.drain(..) {
        connection.ping().await.unwrap();
        connection.return_to_pool().await;
    }
    for _ in 0..1000 {
        proxy.strike(Strike {
            new_connection: true,
            after: 0,
            disruption: Disruption::Blackhole,
        });
    }
    // Those that connect wait in vain, for the first time.
    calls().await;
    let before = proxy.connections();
    let began = Instant::now();
    // The store makes attempts meanwhile, which fail.
    while began.elapsed() < 2 * REQUEST {
        assert_eq!(calls().await, 20);
    }
    let opened = proxy.connections() - before;
    assert!(
        (1..=most_attempts(began)).contains(&opened),
        "{opened} connections"
    );
}

async fn a_pool_with_more_time_serves_again_although_each_connection_takes_long<D: TestDatabase>() {
    let (database, table, proxy) = database_behind_proxy::<D>().await;
    let pool: Pool<D> = PoolOptions::new()
        .acquire_timeout(Duration::from_secs(3))
        .connect_lazy(&database.url)
        .expect("the URL is valid");
    let store = SqlStore::new(pool).with_table(table);
    proxy.set(Disruption::Blackhole);
    assert!(!succeeds(store.load(&key())).await);
    proxy.set(Disruption::Latency(Duration::from_millis(130)));
    let began = Instant::now();
    while !succeeds(store.load(&key())).await {
        let waited = began.elapsed();
        assert_in_time!(waited < Duration::from_secs(20), "{waited:?}");
    }
}
