use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::{
    Fixture,
    answers::{done, found, moved, stored},
    rounds,
    tasks::{Task, together},
    time::{HOUR, after, record, record_until, soon, wait_until},
};
use crate::{
    key::{OwnerKey, StoreKey},
    record::Record,
    store::OwnerIndex,
};

fn owned(record: Record, owner: &OwnerKey) -> Record {
    Record {
        owner: Some(owner.clone()),
        ..record
    }
}

async fn keys_of<S: OwnerIndex + ?Sized>(store: &S, owner: &OwnerKey) -> BTreeSet<StoreKey> {
    let listed = done(store.owned_by(owner).await);
    let keys: BTreeSet<_> = listed.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys.len(), listed.len(), "a record is listed twice");
    keys
}

#[track_caller]
fn lists(listed: &BTreeSet<StoreKey>, expected: &[&StoreKey]) {
    let expected: BTreeSet<_> = expected.iter().map(|key| (*key).clone()).collect();
    assert_eq!(*listed, expected, "the owner's list is not as it should be");
}

/// An owner's list holds all records of that owner, and none of another's or nobody's.
pub async fn owned_by_lists_an_owners_records_and_no_others<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let [one, other, nobody] = [(); 3].map(|()| fixture.owner());
    let keys = [(); 4].map(|()| fixture.key());
    for key in &keys[..3] {
        stored(store.insert(key, &owned(record(b"one"), &one)).await);
    }
    stored(
        store
            .insert(&keys[3], &owned(record(b"other"), &other))
            .await,
    );
    stored(store.insert(&fixture.key(), &record(b"unowned")).await);
    lists(
        &keys_of(&**store, &one).await,
        &[&keys[0], &keys[1], &keys[2]],
    );
    lists(&keys_of(&**store, &other).await, &[&keys[3]]);
    lists(&keys_of(&**store, &nobody).await, &[]);
    lists(&keys_of(&**fixture.second(), &other).await, &[&keys[3]]);
}

/// Each record is listed as a load finds it, and its revision is good for an update.
pub async fn owned_by_gives_what_load_gives<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let (store, owner, key) = (fixture.store(), fixture.owner(), fixture.key());
    let payload: Vec<u8> = (0..=u8::MAX).collect();
    stored(store.insert(&key, &owned(record(&payload), &owner)).await);
    let listed = done(store.owned_by(&owner).await);
    let loaded = found(store.load(&key).await, &payload);
    let [(listed_key, listed)] = &listed[..] else {
        panic!("{} records are listed, should be one", listed.len());
    };
    assert_eq!(*listed_key, key);
    assert!(
        listed.payload == payload,
        "the payload is not the one stored"
    );
    assert_eq!(listed.revision, loaded.revision);
    let apart = listed
        .expires_at
        .max(loaded.expires_at)
        .duration_since(listed.expires_at.min(loaded.expires_at));
    assert!(
        apart.is_ok_and(|apart| apart.as_millis() < 1100),
        "the list has another expiry"
    );
    stored(
        store
            .update(&key, &owned(record(b"two"), &owner), &listed.revision)
            .await,
    );
}

/// A record whose insert was answered before the call began is listed, however many others are inserted beside it.
pub async fn a_record_inserted_before_the_call_is_never_missing<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
) {
    const TASKS: usize = 4;
    let owner = fixture.owner();
    let inserted = Arc::new(Mutex::new(BTreeSet::new()));
    let tasks = (0..TASKS)
        .map(|_| -> Task<()> {
            let (inserting, listing) = (Arc::clone(fixture.store()), Arc::clone(fixture.second()));
            let (owner, inserted) = (owner.clone(), Arc::clone(&inserted));
            let keys: Vec<_> = (0..rounds().div_ceil(TASKS))
                .map(|_| fixture.key())
                .collect();
            Box::pin(async move {
                for key in keys {
                    stored(inserting.insert(&key, &owned(record(b"x"), &owner)).await);
                    let before = {
                        let mut inserted = inserted.lock().unwrap_or_else(PoisonError::into_inner);
                        inserted.insert(key);
                        inserted.clone()
                    };
                    let listed = keys_of(&*listing, &owner).await;
                    let missing = before.difference(&listed).count();
                    assert_eq!(missing, 0, "of {} records some are missing", before.len());
                }
            })
        })
        .collect();
    together(tasks).await;
}

/// A record that was deleted or has expired is not listed, and its key is listed again once it is used again.
pub async fn an_ended_record_leaves_its_owners_list<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let (store, owner) = (fixture.store(), fixture.owner());
    let [kept, deleted, expired] = [(); 3].map(|()| fixture.key());
    let end = soon();
    stored(store.insert(&kept, &owned(record(b"kept"), &owner)).await);
    stored(store.insert(&deleted, &owned(record(b"x"), &owner)).await);
    stored(
        store
            .insert(&expired, &owned(record_until(b"x", end), &owner))
            .await,
    );
    done(store.delete(&deleted).await);
    wait_until(end).await;
    for _ in 0..2 {
        lists(&keys_of(&**store, &owner).await, &[&kept]);
    }
    for key in [&deleted, &expired] {
        stored(store.insert(key, &owned(record(b"again"), &owner)).await);
    }
    lists(
        &keys_of(&**store, &owner).await,
        &[&kept, &deleted, &expired],
    );
}

/// A list full of ended records still takes and names new ones.
pub async fn an_owners_list_heals<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let (store, owner) = (fixture.store(), fixture.owner());
    let end = soon();
    for number in 0..20 {
        let key = fixture.key();
        stored(
            store
                .insert(&key, &owned(record_until(b"old", end), &owner))
                .await,
        );
        if number % 2 == 0 {
            done(store.delete(&key).await);
        }
    }
    wait_until(end).await;
    let new = [(); 12].map(|()| fixture.key());
    for key in &new {
        stored(store.insert(key, &owned(record(b"new"), &owner)).await);
    }
    for _ in 0..2 {
        lists(
            &keys_of(&**store, &owner).await,
            &new.iter().collect::<Vec<_>>(),
        );
    }
}

/// A record replaced by one of the same owner, such as a renewal's marker, stays listed beyond its first end.
pub async fn a_replaced_record_stays_in_its_owners_list<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, owner, key) = (fixture.store(), fixture.owner(), fixture.key());
    let end = soon();
    let revision = stored(
        store
            .insert(&key, &owned(record_until(b"session", end), &owner))
            .await,
    );
    stored(
        store
            .update(&key, &owned(record(b"marker"), &owner), &revision)
            .await,
    );
    outlives_its_entry(fixture, &owner, &key, end, b"marker").await;
}

/// A touched record stays listed beyond its first end.
pub async fn a_touched_record_stays_in_its_owners_list<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, owner, key) = (fixture.store(), fixture.owner(), fixture.key());
    let end = soon();
    stored(
        store
            .insert(&key, &owned(record_until(b"session", end), &owner))
            .await,
    );
    moved(store.touch(&key, after(HOUR)).await);
    outlives_its_entry(fixture, &owner, &key, end, b"session").await;
}

/// One name under two prefixes is two owners.
pub async fn owners_of_two_prefixes_are_two_owners<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let elsewhere = Fixture::of(Arc::clone(store), fixture.limit());
    let [one, other] = [fixture, &elsewhere].map(|f| (f.prefix().owner_key("ada"), f.key()));
    for (owner, key) in [&one, &other] {
        stored(store.insert(key, &owned(record(b"x"), owner)).await);
    }
    lists(&keys_of(&**store, &one.0).await, &[&one.1]);
    lists(&keys_of(&**store, &other.0).await, &[&other.1]);
}

/// Waits until the first end of the record under `key` has passed, gives the index every occasion to drop the entry,
/// and expects it to be there.
async fn outlives_its_entry<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
    owner: &OwnerKey,
    key: &StoreKey,
    first_end: SystemTime,
    payload: &[u8],
) {
    let store = fixture.store();
    wait_until(first_end).await;
    let mut expected = vec![key.clone()];
    for _ in 0..3 {
        let another = fixture.key();
        stored(
            store
                .insert(&another, &owned(record(b"another"), owner))
                .await,
        );
        expected.push(another);
        lists(
            &keys_of(&**store, owner).await,
            &expected.iter().collect::<Vec<_>>(),
        );
    }
    found(store.load(key).await, payload);
}
