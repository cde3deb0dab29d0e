//! Errors that a server gives on its own account: each is an `Err`, nothing is half done, and the next call works.

use std::time::Duration;

use session_core::{Error, SessionStore};
use session_mongo::mongodb::bson::{Document, doc};

use crate::{
    outage::recovers,
    setup::{Setup, connect, key, record, stored, unique},
};

/// Makes the server answer the next `times` of `commands` of the application `app` as `how` says.
pub(crate) async fn fail(setup: &Setup, app: &str, commands: &[&str], times: i32, how: Document) {
    let mut data = doc! { "failCommands": commands, "appName": app };
    data.extend(how);
    let command =
        doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
    let set = setup.admin().run_command(command).await;
    set.expect("the server takes test commands (--setParameter enableTestCommands=1)");
}

#[tokio::test]
async fn a_write_that_the_server_fails_is_an_error_and_is_not_done() {
    let setup = Setup::shared().await;
    let app = unique();
    // With the driver's retries on, which the store must not fall for.
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
    for how in [
        interrupted_at_shutdown,
        write_conflict,
        not_primary,
        stepped_down,
        cut,
    ] {
        let key = key();
        stored(store.insert(&key, &record(b"one")).await.unwrap());
        let loaded = store.load(&key).await.unwrap().unwrap();

        fail(&setup, &app, &["update"], 1, how.clone()).await;
        let failed = store.update(&key, &record(b"two"), &loaded.revision).await;
        assert!(
            matches!(failed, Err(Error::Backend { .. })),
            "{how}: {failed:?}"
        );
        recovers(&store, &key).await;
        assert_eq!(
            store.load(&key).await.unwrap().unwrap().bytes,
            &b"one"[..],
            "{how}"
        );

        fail(&setup, &app, &["delete"], 1, how.clone()).await;
        let failed = store.delete(&key).await;
        assert!(
            matches!(failed, Err(Error::Backend { .. })),
            "{how}: {failed:?}"
        );
        recovers(&store, &key).await;
        stored(
            store
                .update(&key, &record(b"two"), &loaded.revision)
                .await
                .unwrap(),
        );
    }
}

#[tokio::test]
async fn a_write_that_no_majority_confirms_is_an_error() {
    let setup = Setup::shared().await;
    let app = unique();
    let store = connect(
        &format!("{}?appName={app}", setup.server.url()),
        &setup.name,
    )
    .await;
    let key = key();
    stored(store.insert(&key, &record(b"one")).await.unwrap());
    let unconfirmed = doc! { "code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting for replication timed out" };
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
async fn a_primary_that_steps_down_is_an_error_until_there_is_one_again() {
    let setup = Setup::alone().await;
    let key = key();
    stored(setup.store.insert(&key, &record(b"one")).await.unwrap());
    let step_down = doc! { "replSetStepDown": 2, "secondaryCatchUpPeriodSecs": 1, "force": true };
    drop(setup.admin().run_command(step_down).await);

    let failed = setup.store.insert(&key, &record(b"two")).await;
    assert!(matches!(failed, Err(Error::Backend { .. })), "{failed:?}");
    // The genuine server needs an election, which takes it ten seconds and more.
    let begin = std::time::Instant::now();
    while setup.store.insert(&key, &record(b"three")).await.is_err() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "no primary is found again"
        );
    }
    assert_eq!(
        setup.store.load(&key).await.unwrap().unwrap().bytes,
        &b"one"[..]
    );
}
