use std::time::Duration;

use session_core::{SessionStore, Write};
use session_sql::{SqlStore, sqlx};
use session_tests::{ChaosProxy, Fault, MariaDb, Postgres};
use tokio::time::timeout;

use crate::{
    databases::Place,
    patience::all_works_soon,
    records::{insert, key, record},
};

/// How long a request waits: a driver that misses the rest of a reply waits for ever.
const DEADLINE: Duration = Duration::from_millis(200);

/// The driver panics over some of these replies, which must be an error like any other.
async fn a_reply_that_lacks_a_byte_is_an_error_or_right<D: Place>(url: &str, port: u16) {
    let proxy = ChaosProxy::start(port).await;
    let url = url.replace(&port.to_string(), &proxy.port().to_string());
    let store = SqlStore::<D>::connect(&url).unwrap();
    store.migrate().await.unwrap();
    let (mine, other) = (key(), key());
    insert(&store, &mine, &record(b"mine")).await;
    insert(&store, &other, &record(b"other")).await;
    let (mut met, mut errors) = (0, 0);
    for place in (0..140).step_by(3) {
        let loaded = timeout(DEADLINE, store.load(&mine)).await;
        let loaded = loaded.ok().and_then(Result::ok).flatten();
        for changes in [false, true] {
            proxy.set(Fault::LoseByte(place));
            let failed = match &loaded {
                Some(loaded) if changes => {
                    let next = record(b"mine");
                    let update = store.update(&mine, &next, &loaded.revision);
                    match timeout(DEADLINE, update).await {
                        // Nobody else changes it.
                        Ok(Ok(Write::Refused)) => panic!("refused, byte {place}"),
                        done => !matches!(done, Ok(Ok(_))),
                    }
                }
                _ => match timeout(DEADLINE, store.load(&mine)).await {
                    Ok(Ok(loaded)) => {
                        let loaded = loaded.expect("the record lives");
                        assert_eq!(loaded.bytes, b"mine"[..], "byte {place}");
                        false
                    }
                    _ => true,
                },
            };
            errors += usize::from(failed);
            met += usize::from(proxy.fault() == Fault::None);
            proxy.set(Fault::None);
            if let Ok(Ok(loaded)) = timeout(DEADLINE, store.load(&other)).await {
                assert_eq!(loaded.unwrap().bytes, b"other"[..], "byte {place}");
            }
        }
    }
    all_works_soon(&store).await;
    assert!(
        met > 30 && errors > 0,
        "{met} replies lacked a byte, {errors} errors"
    );
}

#[tokio::test]
async fn postgres() {
    let server = Postgres::start().await;
    a_reply_that_lacks_a_byte_is_an_error_or_right::<sqlx::Postgres>(&server.url(), server.port())
        .await;
}

#[tokio::test]
async fn mariadb() {
    let server = MariaDb::start().await;
    a_reply_that_lacks_a_byte_is_an_error_or_right::<sqlx::MySql>(&server.url(), server.port())
        .await;
}
