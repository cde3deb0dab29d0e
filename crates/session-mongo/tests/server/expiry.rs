//! A record is found until the server removes it. The server removes expired records and no others.

use std::time::{Duration, Instant};

use session_core::{SessionStore, Write};
use session_mongo::mongodb::bson::{Document, doc};
use session_tests::{Mongo, assert_in_time};
use tokio::time::sleep;

use crate::setup::{Setup, key, record, record_for, stored};

#[tokio::test]
async fn a_stored_record_is_found_even_if_it_has_expired() {
    // The server removes nothing during the test.
    let setup = Setup::on(Mongo::start_with(86_400.0).await.into()).await;
    set_parameters(&setup, doc! { "ttlMonitorEnabled": false }).await;
    setup.store.ensure_indexes().await.unwrap();
    let (store, key) = (&setup.store, key());
    let expired = record_for(b"old", Duration::ZERO);
    stored(store.insert(&key, &expired).await.unwrap());
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
async fn the_server_removes_expired_records_and_no_others() {
    let setup = Setup::on(Mongo::start_with(0.2).await.into()).await;
    set_parameters(
        &setup,
        doc! { "ttlMonitorEnabled": true, "ttlMonitorSleepSecs": 1 },
    )
    .await;
    setup.store.ensure_indexes().await.unwrap();
    let (live, expired) = (key(), key());
    stored(setup.store.insert(&live, &record(b"live")).await.unwrap());
    stored(
        setup
            .store
            .insert(&expired, &record_for(b"expired", Duration::from_millis(10)))
            .await
            .unwrap(),
    );

    let started = Instant::now();
    while setup.documents().await > 1 {
        assert_in_time!(
            started.elapsed() < Duration::from_secs(15),
            "the server removed nothing"
        );
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        setup.store.load(&live).await.unwrap().unwrap().bytes,
        &b"live"[..]
    );
}

/// Sets parameters of a genuine MongoDB. The other test server does not know them and got them when
/// it was started.
async fn set_parameters(setup: &Setup, parameters: Document) {
    let mut command = doc! { "setParameter": 1 };
    command.extend(parameters);
    drop(setup.admin().run_command(command).await);
}
