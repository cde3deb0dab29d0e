//! The promises of `load`.

use super::{
    Fixture,
    answers::{absent, found, stored},
    time::{HOUR, after, record, record_until, tells},
};
use crate::store::SessionStore;

/// A record that was inserted is loaded whole.
pub async fn load_finds_what_insert_stored<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let end = after(HOUR);
    let revision = stored(store.insert(&key, &record_until(b"bytes", end)).await);
    let loaded = found(store.load(&key).await, b"bytes");
    tells(fixture, &loaded, end);
    assert_eq!(
        loaded.revision, revision,
        "insert returned another revision"
    );
}

/// A key that was never used has no record.
pub async fn load_of_an_absent_key_is_none<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    absent(fixture.store().load(&fixture.key()).await);
}

/// A load changes neither the revision nor the time of a record, however often it is repeated.
pub async fn load_changes_nothing<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let end = after(HOUR);
    let first = stored(store.insert(&key, &record_until(b"one", end)).await);
    for _ in 0..5 {
        let loaded = found(store.load(&key).await, b"one");
        tells(fixture, &loaded, end);
        assert_eq!(loaded.revision, first, "a load changed the revision");
    }
    stored(store.update(&key, &record(b"two"), &first).await);
}
