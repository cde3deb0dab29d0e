//! The promises of `update`.

use super::{
    Fixture,
    answers::{absent, done, found, refused, stored},
    time::{HOUR, after, past, record, record_until, tells},
};
use crate::{record::Revision, store::SessionStore};

/// An update replaces bytes and expiry.
pub async fn update_replaces_bytes_and_expiry<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(b"longer bytes")).await);
    for (bytes, hours) in [(&b"short"[..], 2), (b"much longer bytes", 1)] {
        let end = after(hours * HOUR);
        let revision = done(store.load(&key).await)
            .expect("the record exists")
            .revision;
        stored(
            store
                .update(&key, &record_until(bytes, end), &revision)
                .await,
        );
        tells(fixture, &found(store.load(&key).await, bytes), end);
    }
}

/// An update with the same bytes, such as a refresh, is done, whether the expiry moves or not.
pub async fn update_with_the_same_bytes_is_done<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let (first, later) = (after(HOUR), after(2 * HOUR));
    let mut revision = stored(store.insert(&key, &record_until(b"same", first)).await);
    for end in [first, later, later, first] {
        let same = record_until(b"same", end);
        revision = stored(store.update(&key, &same, &revision).await);
        let loaded = found(store.load(&key).await, b"same");
        tells(fixture, &loaded, end);
        assert_eq!(
            loaded.revision, revision,
            "update returned another revision"
        );
    }
}

/// The revision that an update returns is that of the new record, and can be used for the next
/// update.
pub async fn update_answers_a_revision_for_the_next_one<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, key) = (fixture.store(), fixture.key());
    let mut revision = stored(store.insert(&key, &record(b"0")).await);
    for bytes in [b"1", b"2", b"3"] {
        let new = record(bytes);
        let foretold = store.next_revision(&new);
        let next = stored(store.update(&key, &new, &revision).await);
        assert_ne!(next, revision, "other bytes have the same revision");
        assert!(
            foretold.is_none_or(|it| it == next),
            "next_revision said another revision"
        );
        let loaded = found(store.load(&key).await, bytes);
        assert_eq!(loaded.revision, next, "update returned another revision");
        revision = next;
    }
}

/// An update at a revision that is no longer current is refused and changes nothing.
pub async fn update_at_a_stale_revision_is_refused<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let end = after(HOUR);
    let stale = stored(store.insert(&key, &record(b"one")).await);
    let fresh = stored(store.update(&key, &record_until(b"two", end), &stale).await);
    refused(
        store
            .update(&key, &record_until(b"three", after(2 * HOUR)), &stale)
            .await,
    );
    refused(
        store
            .update(&key, &record_until(b"three", past()), &stale)
            .await,
    );
    let loaded = found(store.load(&key).await, b"two");
    tells(fixture, &loaded, end);
    assert_eq!(
        loaded.revision, fresh,
        "a refused update changed the revision"
    );
}

/// The revision of a deleted record is not valid for a record that was inserted under the same key
/// later.
pub async fn update_at_the_revision_of_a_former_record_is_refused<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, key) = (fixture.store(), fixture.key());
    let former = stored(store.insert(&key, &record(b"former")).await);
    done(store.delete(&key).await);
    stored(store.insert(&key, &record(b"latter")).await);
    refused(store.update(&key, &record(b"lost"), &former).await);
    found(store.load(&key).await, b"latter");
}

/// An update at a revision that the store did not create is refused or fails, and changes nothing.
pub async fn update_at_an_invented_revision_changes_nothing<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(b"one")).await);
    for invented in [
        Revision::new(&b""[..]),
        Revision::new(&b"never seen"[..]),
        Revision::new(&b"\0\xff\r\n'; --"[..]),
        Revision::from(u64::MAX),
        Revision::new(&b"on"[..]),
        Revision::new(&b"one\0"[..]),
    ] {
        if let Ok(answer) = store.update(&key, &record(b"two"), &invented).await {
            assert!(
                !answer.is_stored(),
                "an update was done at an invented revision"
            );
        }
        found(store.load(&key).await, b"one");
    }
}

/// An update does not restore a deleted record.
pub async fn update_never_revives_a_deleted_record<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let revision = stored(store.insert(&key, &record(b"one")).await);
    done(store.delete(&key).await);
    refused(store.update(&key, &record(b"two"), &revision).await);
    absent(store.load(&key).await);
}

/// An update changes the record under its own key and no other.
pub async fn update_leaves_other_records_alone<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key, other) = (fixture.store(), fixture.key(), fixture.key());
    let end = after(HOUR);
    let revision = stored(store.insert(&key, &record(b"mine")).await);
    let others = stored(store.insert(&other, &record_until(b"other", end)).await);
    stored(
        store
            .update(&key, &record_until(b"changed", after(2 * HOUR)), &revision)
            .await,
    );
    let loaded = found(store.load(&other).await, b"other");
    tells(fixture, &loaded, end);
    assert_eq!(
        loaded.revision, others,
        "an update changed another record's revision"
    );
}
