//! The store behind `PgBouncer`.

use std::time::Duration;

use futures_util::future::join_all;
use session_core::{Error, SessionStore};
use session_sql::{SqlStore, TableName, sqlx};
use session_tests::{PgBouncer, Watch, assert_in_time};

use crate::{
    availability::{recovers_soon, succeeds},
    databases::Handle,
    outage::one_write_at_most_fails,
    records::{error_chain, increment, insert, key, load, record},
    unreachable_server::MIGRATION,
};

const TRANSACTIONS: &str = "pool_mode = transaction\n";

fn behind(bouncer: &PgBouncer) -> Handle<sqlx::Postgres> {
    Handle::new(bouncer.url(), ())
}

#[tokio::test]
async fn postgres_behind_pgbouncer_in_session_mode_serves_every_call() {
    let bouncer = PgBouncer::start("pool_mode = session\ndefault_pool_size = 50").await;
    serves_every_call(&bouncer).await;
}

/// Prepared statements came with 1.21.
#[tokio::test]
async fn postgres_behind_pgbouncer_in_transaction_mode_serves_every_call_or_an_old_pooler_is_refused()
 {
    if PgBouncer::version() < (1, 21) {
        is_refused(&PgBouncer::start(TRANSACTIONS).await).await;
    } else {
        let prepared = format!("{TRANSACTIONS}max_prepared_statements = 100");
        serves_every_call(&PgBouncer::start(&prepared).await).await;
        let none = format!("{TRANSACTIONS}max_prepared_statements = 0");
        is_refused(&PgBouncer::start(&none).await).await;
    }
}

/// By default it tries a server that was down again after 15 s.
#[tokio::test]
async fn behind_pgbouncer_calls_succeed_soon_after_a_restart_of_postgres() {
    let settings = if PgBouncer::version() < (1, 21) {
        "pool_mode = session\ndefault_pool_size = 50"
    } else {
        "pool_mode = transaction\nmax_prepared_statements = 100"
    };
    let bouncer = PgBouncer::start(&format!("{settings}\nserver_login_retry = 1")).await;
    let store = behind(&bouncer).migrated(&TableName::default()).await;
    let kept = key();
    insert(&store, &kept, &record(b"kept")).await;
    bouncer.postgres().kill();
    for _ in 0..10 {
        assert!(!succeeds(store.load(&kept)).await);
    }
    bouncer.postgres().restart().await;
    recovers_soon(&store).await;
    assert_eq!(load(&store, &kept).await.unwrap().bytes, "kept");
}

#[tokio::test]
async fn behind_pgbouncer_one_write_at_most_fails_when_postgres_ends_all_connections() {
    let bouncer = PgBouncer::start("pool_mode = session\ndefault_pool_size = 50").await;
    let store = behind(&bouncer).migrated(&TableName::default()).await;
    let server = Handle::new(bouncer.postgres().url(), ());
    one_write_at_most_fails(&store, &server).await;
}

/// The log-in succeeds: the pooler knows what the server would say.
#[tokio::test]
async fn behind_pgbouncer_a_migration_is_an_error_in_time_while_postgres_is_silent() {
    let bouncer = PgBouncer::start("pool_mode = session\ndefault_pool_size = 50").await;
    let table = TableName::default();
    let _warm = behind(&bouncer).migrated(&table).await;
    bouncer.postgres().freeze();
    let began = Watch::start();
    let silent = behind(&bouncer).store(&table).migrate().await;
    let took = began.stop(MIGRATION).await;
    bouncer.postgres().thaw();
    assert_in_time!(took < MIGRATION, "{took:?}");
    let error = error_chain(&silent.expect_err("the server is silent"));
    assert!(error.contains("does not answer"), "{error}");
    assert!(!error.contains("no connection"), "{error}");
}

/// The check for a pooler needs a second connection for a moment. To try that for half a minute would
/// keep a full server full.
#[tokio::test]
async fn behind_a_full_pgbouncer_a_migration_of_postgres_is_an_error_at_once() {
    let bouncer = PgBouncer::start("pool_mode = session\nmax_client_conn = 1").await;
    let began = Watch::start();
    let full = behind(&bouncer)
        .store(&TableName::default())
        .migrate()
        .await;
    let took = began.stop(MIGRATION).await;
    assert_in_time!(took < Duration::from_secs(2), "{took:?}");
    let error = error_chain(&full.expect_err("there is no second connection"));
    assert!(error.contains("no more connections allowed"), "{error}");
}

/// The driver sends `extra_float_digits`, and a store's pool `options`.
#[tokio::test]
async fn a_pgbouncer_that_refuses_parameters_of_postgres_is_unsuitable_and_says_what_to_set() {
    for ignored in ["", "ignore_startup_parameters = extra_float_digits"] {
        let lines = format!("pool_mode = session\n{ignored}");
        let bouncer = PgBouncer::start_with(&lines).await;
        let store = behind(&bouncer).store(&TableName::default());
        for refused in [store.migrate().await, store.load(&key()).await.map(drop)] {
            let refused = refused.expect_err("the log-in fails");
            // A program that starts tries again after any other error, and serves requests meanwhile.
            assert!(matches!(refused, Error::Unsuitable { .. }), "{refused:?}");
            let error = error_chain(&refused);
            for part in [
                "ignore_startup_parameters = extra_float_digits, options",
                "unsupported startup parameter",
                &format!("127.0.0.1:{}", bouncer.port()),
            ] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}

/// Four stores with a pool each, so that their calls share the server's connections.
async fn serves_every_call(bouncer: &PgBouncer) {
    let database = behind(bouncer);
    let table = TableName::default();
    let stores: Vec<_> = (0..4).map(|_| database.store(&table)).collect();
    for migrated in join_all(stores.iter().map(SqlStore::migrate)).await {
        migrated.expect("prepared statements work");
    }
    let counter = key();
    insert(&stores[0], &counter, &record(&0_u64.to_be_bytes())).await;
    let clients = stores.iter().cycle().take(40).map(|store| {
        let counter = &counter;
        async move {
            for _ in 0..10 {
                let own = key();
                insert(store, &own, &record(b"x")).await;
                increment(store, counter).await;
                store.delete(&own).await.unwrap();
                assert!(load(store, &own).await.is_none());
            }
        }
    });
    join_all(clients).await;
    let sum = load(&stores[1], &counter).await.unwrap().bytes;
    assert_eq!(sum, 400_u64.to_be_bytes()[..]);
}

async fn is_refused(bouncer: &PgBouncer) {
    let refused = behind(bouncer).store(&TableName::default()).migrate().await;
    let refused = refused.expect_err("prepared statements do not work");
    // A program that starts tries again after any other error, and serves requests meanwhile.
    assert!(matches!(refused, Error::Unsuitable { .. }), "{refused:?}");
    let error = error_chain(&refused);
    for part in ["PgBouncer 1.21", "max_prepared_statements", "session mode"] {
        assert!(error.contains(part), "{error}");
    }
}
