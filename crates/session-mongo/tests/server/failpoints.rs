//! Errors that the server returns: the write is an error, nothing is partly written, and the next
//! call works.

use std::time::Duration;

use session_core::{Error, SessionStore};
use session_mongo::mongodb::bson::{Document, doc};
use tokio::sync::Mutex;

use crate::{
    outage::wait_for_recovery,
    setup::{Setup, connect, key, record, stored, unique},
};
use session_tests::assert_in_time;

/// A server has one fail point for all commands, so one test at a time sets it.
pub(crate) static FAIL_POINT: Mutex<()> = Mutex::const_new(());

/// Makes the server fail the next `times` of `commands` from the application `app` with `error`.
pub(crate) async fn fail(setup: &Setup, app: &str, commands: &[&str], times: i32, error: Document) {
    let mut data = doc! { "failCommands": commands, "appName": app };
    data.extend(error);
    let command =
        doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
    let set = setup.admin().run_command(command).await;
    set.expect("the server takes test commands (--setParameter enableTestCommands=1)");
}

#[tokio::test]
async fn a_write_that_the_server_fails_is_an_error_and_writes_nothing() {
    let _alone = FAIL_POINT.lock().await;
    let setup = Setup::shared().await;
    let app = unique();
    // With the driver's retries enabled. The store must not use them.
    let url = format!(
        "{}?appName={app}&retryWrites=true&heartbeatFrequencyMS=500",
        setup.server.url()
    );
    let store = connect(&url, &setup.name).await;
    let interrupted_at_shutdown = doc! { "errorCode": 11600 };
    let write_conflict = doc! { "errorCode": 112 };
    let not_primary = doc! { "errorCode": 10107 };
    let stepped_down = doc! { "errorCode": 189 };
    let cut = doc! { "closeConnection": true };
    for error in [
        interrupted_at_shutdown,
        write_conflict,
        not_primary,
        stepped_down,
        cut,
    ] {
        let key = key();
        stored(store.insert(&key, &record(b"one")).await.unwrap());
        let loaded = store.load(&key).await.unwrap().unwrap();

        fail(&setup, &app, &["update"], 1, error.clone()).await;
        let failed = store.update(&key, &record(b"two"), &loaded.revision).await;
        assert!(
            matches!(failed, Err(Error::Backend { .. })),
            "{error}: {failed:?}"
        );
        wait_for_recovery(&store, &key).await;
        assert_eq!(
            store.load(&key).await.unwrap().unwrap().bytes,
            &b"one"[..],
            "{error}"
        );

        fail(&setup, &app, &["delete"], 1, error.clone()).await;
        let failed = store.delete(&key).await;
        assert!(
            matches!(failed, Err(Error::Backend { .. })),
            "{error}: {failed:?}"
        );
        wait_for_recovery(&store, &key).await;
        stored(
            store
                .update(&key, &record(b"two"), &loaded.revision)
                .await
                .unwrap(),
        );
    }
}

#[tokio::test]
async fn a_write_without_a_confirmed_majority_is_an_error() {
    let _alone = FAIL_POINT.lock().await;
    let setup = Setup::shared().await;
    let app = unique();
    let store = connect(
        &format!("{}?appName={app}", setup.server.url()),
        &setup.name,
    )
    .await;
    let key = key();
    stored(store.insert(&key, &record(b"one")).await.unwrap());
    let unconfirmed = doc! {
        "code": 64,
        "codeName": "WriteConcernTimeout",
        "errmsg": "waiting for replication timed out",
    };
    fail(
        &setup,
        &app,
        &["delete"],
        1,
        doc! { "writeConcernError": unconfirmed },
    )
    .await;
    let failed = store.delete(&key).await;
    assert!(matches!(failed, Err(Error::Backend { .. })), "{failed:?}");
}

#[tokio::test]
async fn calls_fail_after_a_step_down_until_there_is_a_primary() {
    let setup = Setup::own_server().await;
    let key = key();
    stored(setup.store.insert(&key, &record(b"one")).await.unwrap());
    let step_down = doc! { "replSetStepDown": 2, "secondaryCatchUpPeriodSecs": 1, "force": true };
    drop(setup.admin().run_command(step_down).await);

    let failed = setup.store.insert(&key, &record(b"two")).await;
    assert!(matches!(failed, Err(Error::Backend { .. })), "{failed:?}");
    // A genuine MongoDB needs an election, which takes ten seconds or more.
    let started = std::time::Instant::now();
    while setup.store.insert(&key, &record(b"three")).await.is_err() {
        assert_in_time!(
            started.elapsed() < Duration::from_secs(60),
            "no primary was elected"
        );
    }
    assert_eq!(
        setup.store.load(&key).await.unwrap().unwrap().bytes,
        &b"one"[..]
    );
}
