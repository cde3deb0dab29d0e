use super::{
    Fixture,
    answers::{absent, found, stored},
    time::{HOUR, after, ends_at, record, record_until, soon, wait_until},
};
use crate::store::SessionStore;

/// A record that was inserted is found, whole.
pub async fn load_finds_what_insert_stored<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let end = after(HOUR);
    let revision = stored(store.insert(&key, &record_until(b"payload", end)).await);
    let loaded = found(store.load(&key).await, b"payload");
    ends_at(&loaded, end);
    assert_eq!(
        loaded.revision, revision,
        "insert answered another revision"
    );
}

/// A key that was never used holds nothing.
pub async fn load_of_an_absent_key_is_none<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    absent(fixture.store().load(&fixture.key()).await);
}

/// However often a record is loaded, its revision stays usable and it ends when it was told to.
pub async fn load_changes_nothing<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let end = soon();
    let first = stored(store.insert(&key, &record_until(b"one", end)).await);
    for _ in 0..5 {
        let loaded = found(store.load(&key).await, b"one");
        ends_at(&loaded, end);
        assert_eq!(loaded.revision, first, "a load changed the revision");
    }
    wait_until(end).await;
    absent(store.load(&key).await);

    let key = fixture.key();
    let first = stored(store.insert(&key, &record(b"one")).await);
    found(store.load(&key).await, b"one");
    stored(store.update(&key, &record(b"two"), &first).await);
}
