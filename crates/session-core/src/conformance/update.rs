use super::{
    Fixture,
    answers::{absent, done, found, refused, stored},
    time::{HOUR, after, ends_at, insert_and_outlive, past, record, record_until},
};
use crate::{record::Revision, store::SessionStore};

/// An update replaces payload and expiry.
pub async fn update_replaces_payload_and_expiry<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(b"a longer payload")).await);
    for (payload, hours) in [(&b"short"[..], 2), (b"a much longer payload", 1)] {
        let end = after(hours * HOUR);
        let revision = done(store.load(&key).await)
            .expect("the record lives")
            .revision;
        stored(
            store
                .update(&key, &record_until(payload, end), &revision)
                .await,
        );
        ends_at(&found(store.load(&key).await, payload), end);
    }
}

/// The revision that an update answers is that of the record as it is now, and good for the next update.
pub async fn update_answers_a_revision_for_the_next_one<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, key) = (fixture.store(), fixture.key());
    let mut revision = stored(store.insert(&key, &record(b"0")).await);
    for payload in [b"1", b"2", b"3"] {
        let next = stored(store.update(&key, &record(payload), &revision).await);
        assert_ne!(next, revision, "other bytes have the same revision");
        let loaded = found(store.load(&key).await, payload);
        assert_eq!(loaded.revision, next, "update answered another revision");
        revision = next;
    }
}

/// An update at a revision that others have overtaken is refused and changes nothing.
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
    ends_at(&loaded, end);
    assert_eq!(
        loaded.revision, fresh,
        "a refused update changed the revision"
    );
}

/// A revision of bytes that were deleted is no revision of the bytes inserted under the same key since.
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

/// A revision that the store never made is refused or is an error, and changes nothing.
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
        Revision::of(b"never seen"),
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

/// What was deleted does not come back.
pub async fn update_never_revives_a_deleted_record<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let (store, key) = (fixture.store(), fixture.key());
    let revision = stored(store.insert(&key, &record(b"one")).await);
    done(store.delete(&key).await);
    refused(store.update(&key, &record(b"two"), &revision).await);
    absent(store.load(&key).await);
}

/// What has expired does not come back, whether the backend has noticed or not.
pub async fn update_never_revives_an_expired_record<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, key) = (fixture.store(), fixture.key());
    let revision = insert_and_outlive(fixture, &key, b"one").await;
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
    ends_at(&loaded, end);
    assert_eq!(
        loaded.revision, others,
        "an update changed another record's revision"
    );
}
