//! Replies of a server that lack a byte.

use std::time::Duration;

use session_core::{SessionStore, Write};
use session_sql::{SqlStore, sqlx};
use session_tests::{ChaosProxy, Disruption, MariaDb, Postgres, with_port};
use tokio::time::timeout;

use crate::{
    availability::recovers_soon,
    databases::TestDatabase,
    records::{insert, key, record},
};

/// The limit of a call. A driver that waits for the rest of a reply would wait forever.
const DEADLINE: Duration = Duration::from_millis(200);

/// A store whose traffic passes a proxy.
async fn behind_proxy<D: TestDatabase>(url: &str, port: u16) -> (SqlStore<D>, ChaosProxy) {
    let proxy = ChaosProxy::start(port).await;
    let store = SqlStore::<D>::connect(&with_port(url, port, proxy.port())).unwrap();
    store.migrate().await.unwrap();
    (store, proxy)
}

/// The driver panics when it reads some of these replies. A call must return an error instead.
async fn a_log_in_whose_reply_lacks_a_byte_is_an_error_or_succeeds<D: TestDatabase>(
    url: &str,
    port: u16,
) {
    let (store, proxy) = behind_proxy::<D>(url, port).await;
    let (mut damaged, mut errors) = (0, 0);
    for position in (0..32).chain((32..140).step_by(3)) {
        proxy.reset_connections();
        // The connection of the pool has ended; that of the second call is new.
        let _ = timeout(DEADLINE, store.load(&key())).await;
        proxy.reset_connections();
        proxy.set(Disruption::DropByte(position));
        for _ in 0..2 {
            let loaded = timeout(DEADLINE, store.load(&key())).await;
            errors += usize::from(!matches!(loaded, Ok(Ok(None))));
        }
        damaged += usize::from(proxy.disruption() == Disruption::None);
        proxy.set(Disruption::None);
    }
    recovers_soon(&store).await;
    assert!(
        damaged > 30 && errors > 0,
        "{damaged} replies lacked a byte, {errors} errors"
    );
}

/// The same, for the calls of a connection in use.
async fn a_reply_that_lacks_a_byte_is_an_error_or_correct<D: TestDatabase>(url: &str, port: u16) {
    let (store, proxy) = behind_proxy::<D>(url, port).await;
    let (mine, other) = (key(), key());
    insert(&store, &mine, &record(b"mine")).await;
    insert(&store, &other, &record(b"other")).await;
    let (mut damaged, mut errors) = (0, 0);
    for position in (0..140).step_by(3) {
        let loaded = timeout(DEADLINE, store.load(&mine)).await;
        let loaded = loaded.ok().and_then(Result::ok).flatten();
        for changes in [false, true] {
            proxy.set(Disruption::DropByte(position));
            let failed = match &loaded {
                Some(loaded) if changes => {
                    let next = record(b"mine");
                    let update = store.update(&mine, &next, &loaded.revision);
                    match timeout(DEADLINE, update).await {
                        // No other writer changes the record.
                        Ok(Ok(Write::Refused)) => panic!("refused, byte {position}"),
                        done => !matches!(done, Ok(Ok(_))),
                    }
                }
                _ => match timeout(DEADLINE, store.load(&mine)).await {
                    Ok(Ok(loaded)) => {
                        let loaded = loaded.expect("the record exists");
                        assert_eq!(loaded.bytes, b"mine"[..], "byte {position}");
                        false
                    }
                    _ => true,
                },
            };
            errors += usize::from(failed);
            damaged += usize::from(proxy.disruption() == Disruption::None);
            proxy.set(Disruption::None);
            if let Ok(Ok(loaded)) = timeout(DEADLINE, store.load(&other)).await {
                assert_eq!(loaded.unwrap().bytes, b"other"[..], "byte {position}");
            }
        }
    }
    recovers_soon(&store).await;
    assert!(
        damaged > 30 && errors > 0,
        "{damaged} replies lacked a byte, {errors} errors"
    );
}

#[tokio::test]
async fn postgres() {
    let server = Postgres::start().await;
    let (url, port) = (server.url(), server.port());
    a_reply_that_lacks_a_byte_is_an_error_or_correct::<sqlx::Postgres>(&url, port).await;
    a_log_in_whose_reply_lacks_a_byte_is_an_error_or_succeeds::<sqlx::Postgres>(&url, port).await;
}

#[tokio::test]
async fn mariadb() {
    let server = MariaDb::start().await;
    let (url, port) = (server.url(), server.port());
    a_reply_that_lacks_a_byte_is_an_error_or_correct::<sqlx::MySql>(&url, port).await;
    a_log_in_whose_reply_lacks_a_byte_is_an_error_or_succeeds::<sqlx::MySql>(&url, port).await;
}
