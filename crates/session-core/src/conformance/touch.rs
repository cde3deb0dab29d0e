use super::{
    Fixture,
    answers::{absent, done, found, moved, not_moved, stored},
    time::{
        HOUR, after, ends_at, insert_and_outlive, past, record, record_until, soon, wait_until,
    },
};
use crate::store::SessionStore;

/// A touched record outlives its first expiry.
pub async fn touch_extends_a_record<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let (first, end) = (soon(), after(HOUR));
    stored(store.insert(&key, &record_until(b"payload", first)).await);
    moved(store.touch(&key, end).await);
    wait_until(first).await;
    ends_at(&found(store.load(&key).await, b"payload"), end);
}

/// A record touched to an earlier instant ends there.
pub async fn touch_shortens_a_record<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(b"payload")).await);
    let end = soon();
    moved(store.touch(&key, end).await);
    ends_at(&found(store.load(&key).await, b"payload"), end);
    wait_until(end).await;
    absent(store.load(&key).await);
}

/// A record touched to an instant that has passed is absent at once.
pub async fn touch_into_the_past_ends_a_record<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(b"payload")).await);
    done(store.touch(&key, past()).await.map(|_| ()));
    absent(store.load(&key).await);
    not_moved(store.touch(&key, after(HOUR)).await);
    absent(store.load(&key).await);
}

/// A touch of a key that was never used is refused and makes nothing.
pub async fn touch_refuses_an_absent_key<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    not_moved(store.touch(&key, after(HOUR)).await);
    absent(store.load(&key).await);
    stored(store.insert(&key, &record(b"payload")).await);
}

/// What was deleted does not come back by a touch.
pub async fn touch_never_revives_a_deleted_record<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(b"payload")).await);
    done(store.delete(&key).await);
    not_moved(store.touch(&key, after(HOUR)).await);
    absent(store.load(&key).await);
}

/// What has expired does not come back by a touch.
pub async fn touch_never_revives_an_expired_record<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    insert_and_outlive(fixture, &key, b"payload").await;
    not_moved(store.touch(&key, after(HOUR)).await);
    absent(store.load(&key).await);
}

/// A touch leaves the payload, and an update at the revision loaded before it still succeeds.
pub async fn touch_keeps_payload_and_revision<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let revision = stored(store.insert(&key, &record(b"one")).await);
    moved(store.touch(&key, after(2 * HOUR)).await);
    let loaded = found(store.load(&key).await, b"one");
    assert_eq!(loaded.revision, revision, "a touch changed the revision");
    stored(store.update(&key, &record(b"two"), &revision).await);
    found(store.load(&key).await, b"two");
}

/// A touch moves the record under its own key and no other.
pub async fn touch_leaves_other_records_alone<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key, other) = (fixture.store(), fixture.key(), fixture.key());
    let end = after(HOUR);
    stored(store.insert(&key, &record(b"mine")).await);
    stored(store.insert(&other, &record_until(b"other", end)).await);
    moved(store.touch(&key, after(2 * HOUR)).await);
    ends_at(&found(store.load(&other).await, b"other"), end);
}
