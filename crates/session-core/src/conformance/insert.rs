//! The promises of `insert`.

use std::sync::Arc;

use super::{
    Fixture,
    answers::{done, found, refused, stored},
    rounds,
    tasks::{Task, together},
    time::{HOUR, after, past, record, record_until, tells},
};
use crate::{record::Write, store::SessionStore};

/// An insert under a key that is in use is refused, and leaves the record there unchanged.
pub async fn insert_refuses_a_taken_key<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let end = after(HOUR);
    let first = stored(store.insert(&key, &record_until(b"first", end)).await);
    refused(
        store
            .insert(&key, &record_until(b"second", after(2 * HOUR)))
            .await,
    );
    refused(store.insert(&key, &record_until(b"third", past())).await);
    let loaded = found(store.load(&key).await, b"first");
    tells(fixture, &loaded, end);
    assert_eq!(
        loaded.revision, first,
        "a refused insert changed the revision"
    );
}

/// The revision that an insert returns can be used for an update.
pub async fn insert_answers_a_revision_for_the_next_update<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, key) = (fixture.store(), fixture.key());
    let revision = stored(store.insert(&key, &record(b"one")).await);
    stored(store.update(&key, &record(b"two"), &revision).await);
    found(store.load(&key).await, b"two");
}

/// Of many concurrent inserts under one key exactly one is done, and its record is stored.
pub async fn of_many_concurrent_inserts_exactly_one_wins<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    for _ in 0..rounds() {
        let key = fixture.key();
        let tasks = (0..8_u8)
            .map(|number| -> Task<Write> {
                let handles = [fixture.store(), fixture.second()];
                let store = Arc::clone(handles[usize::from(number % 2)]);
                let key = key.clone();
                Box::pin(async move { done(store.insert(&key, &record(&[number])).await) })
            })
            .collect();
        let answers = together(tasks).await;
        let winners: Vec<_> = (0..8_u8)
            .filter(|number| answers[usize::from(*number)].is_stored())
            .collect();
        assert_eq!(winners.len(), 1, "inserts that won: {winners:?}");
        found(fixture.store().load(&key).await, &winners);
    }
}
