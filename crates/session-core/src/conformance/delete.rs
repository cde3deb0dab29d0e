//! The promises of `delete`.

use super::{
    Fixture,
    answers::{absent, done, found, stored},
    time::{past, record, record_until},
};
use crate::store::SessionStore;

/// A deleted record is absent.
pub async fn delete_ends_a_record<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(b"bytes")).await);
    done(store.delete(&key).await);
    absent(store.load(&key).await);
}

/// A delete of a record that never existed, was deleted, or is past its time succeeds.
pub async fn delete_succeeds_if_there_is_nothing<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key, expired) = (fixture.store(), fixture.key(), fixture.key());
    done(store.delete(&key).await);
    stored(store.insert(&key, &record(b"bytes")).await);
    done(store.delete(&key).await);
    done(store.delete(&key).await);
    stored(
        store
            .insert(&expired, &record_until(b"bytes", past()))
            .await,
    );
    done(store.delete(&expired).await);
    absent(store.load(&expired).await);
}

/// The key of a deleted record can be used again.
pub async fn insert_may_reuse_a_deleted_key<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(b"old")).await);
    done(store.delete(&key).await);
    stored(store.insert(&key, &record(b"new")).await);
    found(store.load(&key).await, b"new");
}

/// A delete removes the record under its own key and no other.
pub async fn delete_leaves_other_records_alone<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key, other) = (fixture.store(), fixture.key(), fixture.key());
    stored(store.insert(&key, &record(b"mine")).await);
    let others = stored(store.insert(&other, &record(b"other")).await);
    done(store.delete(&key).await);
    let loaded = found(store.load(&other).await, b"other");
    assert_eq!(
        loaded.revision, others,
        "a delete changed another record's revision"
    );
}
