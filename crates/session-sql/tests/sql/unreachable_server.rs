//! A server that cannot be reached is an error that names its address and the cause, in time.

use std::{net::TcpListener, time::Duration};

use session_core::{Result, SessionStore};
use session_sql::{SqlStore, sqlx};
use session_tests::{Disruption, MariaDb, Strike, Watch, assert_in_time};

use crate::{
    databases::{TestDatabase, each_server},
    lost_reply::database_behind_proxy,
    records::{error_chain, key, record},
};

/// The time that a request gives its store. The error must come earlier, or the request
/// has ended.
pub(crate) const REQUEST: Duration = Duration::from_secs(1);
/// The time that a migration gives a server that does not answer.
pub(crate) const MIGRATION: Duration = Duration::from_secs(5);

/// A name that has no address.
pub(crate) const UNKNOWN_HOST: &str = "unknown.invalid:5432";

each_server!(
    a_closed_port_is_an_error_that_names_address_and_cause_in_time,
    a_silent_host_is_an_error_that_names_address_and_cause_in_time,
    an_unknown_host_is_an_error_in_time,
    a_server_that_is_silent_after_each_log_in_is_an_error_of_a_migration_in_time,
);

async fn a_closed_port_is_an_error_that_names_address_and_cause_in_time<D: TestDatabase>() {
    all_fail_in_time::<D>(&closed_port(), "refused").await;
}

async fn a_silent_host_is_an_error_that_names_address_and_cause_in_time<D: TestDatabase>() {
    let (_listener, address) = silent_port();
    all_fail_in_time::<D>(&address, "does not answer").await;
}

async fn an_unknown_host_is_an_error_in_time<D: TestDatabase>() {
    all_fail_in_time::<D>(UNKNOWN_HOST, "").await;
}

/// As behind a pooler that still answers itself.
async fn a_server_that_is_silent_after_each_log_in_is_an_error_of_a_migration_in_time<
    D: TestDatabase,
>() {
    let (database, table, proxy) = database_behind_proxy::<D>().await;
    // The messages of a log-in are more over TLS, and with some passwords.
    for after in (6..30).step_by(3) {
        proxy.plan_nothing();
        for _ in 0..100 {
            proxy.strike(Strike {
                new_connection: true,
                after,
                disruption: Disruption::Blackhole,
            });
        }
        let store = database.store(&table);
        let began = Watch::start();
        let error = store.migrate().await.expect_err("the server is silent");
        let took = began.stop(MIGRATION).await;
        let error = error_chain(&error);
        // Where the silence comes between the log-in and the first statement of the pool, some
        // attempts find a server that answers, and are made again after less than a second.
        let attempts = if error.contains("no connection") {
            2
        } else {
            1
        };
        assert_in_time!(
            took < attempts * MIGRATION,
            "{took:?} after {after}: {error}"
        );
        assert!(error.contains("does not answer"), "{error}");
        if !error.contains("no connection") {
            return;
        }
    }
    panic!("no log-in succeeded");
}

/// An address where nothing listens.
pub(crate) fn closed_port() -> String {
    silent_port().1
}

/// An address that accepts connections and never answers.
pub(crate) fn silent_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

pub(crate) fn store_at<D: TestDatabase>(address: &str) -> SqlStore<D> {
    let scheme = D::URL_SCHEMES[0];
    SqlStore::connect(&format!("{scheme}://ada:hunter2@{address}/shop")).expect("the URL is valid")
}

async fn all_fail_in_time<D: TestDatabase>(address: &str, cause: &str) {
    let store = store_at::<D>(address);
    fails_within(MIGRATION, || store.migrate(), address, cause).await;
    let (key, insertion) = (key(), record(b"x"));
    fails_within(REQUEST, || store.load(&key), address, cause).await;
    fails_within(REQUEST, || store.insert(&key, &insertion), address, cause).await;
}

/// The call fails in time, with these words. Little of the time is to spare, so on a busy machine
/// one of three attempts has to be in time.
pub(crate) async fn fails_within<T, F: Future<Output = Result<T>>>(
    limit: Duration,
    call: impl Fn() -> F,
    address: &str,
    cause: &str,
) {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let began = Watch::start();
        let Err(error) = call().await else {
            panic!("there is no database");
        };
        fastest = began.stop(limit).await.min(fastest);
        let error = error_chain(&error);
        assert!(error.contains(address), "{error}");
        assert!(error.contains(cause), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        if fastest < limit {
            return;
        }
    }
    panic!("{fastest:?}");
}

#[tokio::test]
async fn a_wrong_password_for_mariadb_is_an_error_at_once() {
    let server = MariaDb::start().await;
    let url = server.url();
    let (_, host) = url.rsplit_once('@').expect("a URL with a user");
    let url = format!("mysql://session:hunter2@{host}");
    let store = SqlStore::<sqlx::MySql>::connect(&url).unwrap();
    let address = format!(":{}", server.port());
    fails_within(REQUEST, || store.migrate(), &address, "Access denied").await;
}

#[tokio::test]
async fn a_pool_without_a_free_connection_to_postgres_names_its_address() {
    let database = sqlx::Postgres::open().await;
    let store = database.store(&crate::databases::unique_table());
    let pool = store.pool();
    let mut held = vec![];
    for _ in 0..pool.options().get_max_connections() {
        held.push(pool.acquire().await.unwrap());
    }
    let address = format!(":{}", pool.connect_options().get_port());
    let key = key();
    fails_within(REQUEST, || store.load(&key), &address, "timed out").await;
    // A migration waits for a free connection.
    let migration = tokio::spawn({
        let store = store.clone();
        async move { store.migrate().await }
    });
    tokio::time::sleep(MIGRATION).await;
    assert!(!migration.is_finished());
    drop(held);
    migration.await.unwrap().expect("the table can be created");
}
