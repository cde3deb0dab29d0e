//! A session whose time has passed is absent, whatever the server removes and when.

use std::time::{Duration, Instant};

use session_core::{SessionStore, Touch, Write};
use session_mongo::mongodb::bson::{Document, doc};
use session_tests::Mongo;
use tokio::time::sleep;

use crate::setup::{Setup, key, record, record_for, stored};

#[tokio::test]
async fn with_the_servers_removal_switched_off_an_expired_session_is_absent_all_the_same() {
    // A pause between removals that no test outlives.
    let setup = Setup::on(Mongo::start_with(86_400.0).await.into()).await;
    tell(&setup, doc! { "ttlMonitorEnabled": false }).await;
    setup.store.ensure_indexes().await.unwrap();
    let (store, key) = (&setup.store, key());
    stored(
        store
            .insert(&key, &record_for(b"old", Duration::from_millis(300)))
            .await
            .unwrap(),
    );
    let loaded = store.load(&key).await.unwrap().unwrap();
    sleep(Duration::from_millis(320)).await;

    assert_eq!(setup.documents().await, 1, "the document is there");
    assert!(store.load(&key).await.unwrap().is_none());
    let hour = record(b"new").expires_at;
    assert_eq!(store.touch(&key, hour).await.unwrap(), Touch::Refused);
    let update = store
        .update(&key, &record(b"new"), &loaded.revision)
        .await
        .unwrap();
    assert_eq!(update, Write::Refused);
    stored(store.insert(&key, &record(b"new")).await.unwrap());
    assert_eq!(store.load(&key).await.unwrap().unwrap().payload, b"new");
    assert_eq!(setup.documents().await, 1);
}

#[tokio::test]
async fn the_server_removes_what_has_expired_and_nothing_else() {
    let setup = Setup::on(Mongo::start_with(0.2).await.into()).await;
    tell(
        &setup,
        doc! { "ttlMonitorEnabled": true, "ttlMonitorSleepSecs": 1 },
    )
    .await;
    setup.store.ensure_indexes().await.unwrap();
    let (live, dead) = (key(), key());
    stored(setup.store.insert(&live, &record(b"live")).await.unwrap());
    stored(
        setup
            .store
            .insert(&dead, &record_for(b"dead", Duration::from_millis(10)))
            .await
            .unwrap(),
    );

    let begin = Instant::now();
    while setup.documents().await > 1 {
        assert!(
            begin.elapsed() < Duration::from_secs(15),
            "the index removes nothing"
        );
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        setup.store.load(&live).await.unwrap().unwrap().payload,
        b"live"
    );
}

/// The genuine server is told while it runs; the other one knows no such parameter and was told at its start.
async fn tell(setup: &Setup, parameters: Document) {
    let mut command = doc! { "setParameter": 1 };
    command.extend(parameters);
    drop(setup.admin().run_command(command).await);
}
