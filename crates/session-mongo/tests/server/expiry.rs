//! What is stored is found until the server removes it; it removes what is past its time and nothing else.

use std::time::{Duration, Instant};

use session_core::{SessionStore, Write};
use session_mongo::mongodb::bson::{Document, doc};
use session_tests::Mongo;
use tokio::time::sleep;

use crate::setup::{Setup, key, record, record_for, stored};

#[tokio::test]
async fn a_record_is_found_by_what_is_there_and_by_no_clock() {
    // A pause between removals that no test outlives.
    let setup = Setup::on(Mongo::start_with(86_400.0).await.into()).await;
    tell(&setup, doc! { "ttlMonitorEnabled": false }).await;
    setup.store.ensure_indexes().await.unwrap();
    let (store, key) = (&setup.store, key());
    let over = record_for(b"old", Duration::ZERO);
    stored(store.insert(&key, &over).await.unwrap());
    sleep(Duration::from_millis(20)).await;

    let loaded = store.load(&key).await.unwrap().unwrap();
    assert_eq!(loaded.bytes, &b"old"[..]);
    let insert = store.insert(&key, &record(b"new")).await.unwrap();
    assert_eq!(insert, Write::Refused);
    let update = store.update(&key, &record(b"new"), &loaded.revision).await;
    stored(update.unwrap());
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
        setup.store.load(&live).await.unwrap().unwrap().bytes,
        &b"live"[..]
    );
}

/// The genuine server is told while it runs; the other one knows no such parameter and was told at its start.
async fn tell(setup: &Setup, parameters: Document) {
    let mut command = doc! { "setParameter": 1 };
    command.extend(parameters);
    drop(setup.admin().run_command(command).await);
}
