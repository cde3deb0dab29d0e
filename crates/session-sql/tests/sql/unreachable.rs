use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use session_core::{Result, SessionStore};
use session_sql::{SqlStore, sqlx};
use session_tests::MariaDb;

use crate::{
    databases::{Place, each_server},
    records::{chain, key, record},
};

/// What a request gives its store; the error has to come before it gives up, or nobody reads it.
const REQUEST: Duration = Duration::from_secs(1);
/// What a migration gives a server that is silent.
const MIGRATION: Duration = Duration::from_secs(5);

each_server!(
    where_nothing_listens_the_error_names_address_and_cause_in_time,
    of_a_host_that_never_answers_the_error_names_address_and_cause_in_time,
    a_name_that_nobody_has_is_an_error_in_time,
);

async fn where_nothing_listens_the_error_names_address_and_cause_in_time<D: Place>() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    all_fail_in_time::<D>(&address, "refused").await;
}

async fn of_a_host_that_never_answers_the_error_names_address_and_cause_in_time<D: Place>() {
    // The system takes connections for it, and nobody ever reads from one.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    all_fail_in_time::<D>(&address, "does not answer").await;
}

async fn a_name_that_nobody_has_is_an_error_in_time<D: Place>() {
    all_fail_in_time::<D>("nobody.invalid:5432", "").await;
}

async fn all_fail_in_time<D: Place>(address: &str, cause: &str) {
    let scheme = D::URL_SCHEMES[0];
    let url = format!("{scheme}://ada:hunter2@{address}/shop");
    let open = || SqlStore::<D>::connect(&url).expect("the URL is right");
    let store = open();
    fails_within(MIGRATION, store.migrate(), address, cause).await;
    fails_within(REQUEST, store.load(&key()), address, cause).await;
    let insertion = record(b"x");
    fails_within(REQUEST, store.insert(&key(), &insertion), address, cause).await;
    let flask = open().with_flask_layout();
    fails_within(MIGRATION, flask.migrate(), address, cause).await;
}

async fn fails_within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T>>,
    address: &str,
    cause: &str,
) {
    let began = Instant::now();
    let Err(error) = call.await else {
        panic!("there is no database");
    };
    let (took, error) = (began.elapsed(), chain(&error));
    assert!(took < limit, "{took:?}");
    assert!(error.contains(address), "{error}");
    assert!(error.contains(cause), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_password_that_is_wrong_is_told_at_once() {
    let server = MariaDb::start().await;
    let url = server.url().replace("session:session", "session:hunter2");
    let store = SqlStore::<sqlx::MySql>::connect(&url).unwrap();
    let address = format!(":{}", server.port());
    fails_within(REQUEST, store.migrate(), &address, "Access denied").await;
}

#[tokio::test]
async fn a_pool_without_a_free_connection_names_the_database() {
    let place = sqlx::Postgres::place().await;
    let store = place.store(&crate::databases::own_table());
    let pool = store.pool();
    let mut held = vec![];
    for _ in 0..pool.options().get_max_connections() {
        held.push(pool.acquire().await.unwrap());
    }
    let address = format!(":{}", pool.connect_options().get_port());
    fails_within(REQUEST, store.load(&key()), &address, "timed out").await;
    // Whoever makes the table waits for those who have them.
    let migration = tokio::spawn({
        let store = store.clone();
        async move { store.migrate().await }
    });
    tokio::time::sleep(MIGRATION).await;
    assert!(!migration.is_finished());
    drop(held);
    migration.await.unwrap().expect("the table can be made");
}
