//! The promises of stores that can list an owner's sessions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{
    Fixture,
    answers::{done, found, refused, stored},
    bytes::noise,
    handles::polled,
    rounds,
    tasks::{Task, together},
    time::{DAY, HOUR, after, record, soon, wait_until},
};
use crate::{
    key::{OwnerKey, StoreKey},
    record::{Cursor, IndexEntry, Record},
    store::OwnerIndex,
};

/// More pages than any list here has.
const MAX_PAGES: usize = 5000;
/// How long an expired entry may stay: the backend may be busy, and may keep the time in seconds.
const SLACK: Duration = Duration::from_secs(10);

/// A record that its owner's index must name until `until`.
fn listed_until(bytes: &[u8], owner: &OwnerKey, until: SystemTime) -> Record {
    Record {
        entry: Some(IndexEntry {
            owner: owner.clone(),
            provider_session: Some(second_name(owner)),
            expires_at: until,
        }),
        ..record(bytes)
    }
}

/// The second name of every record of `owner` here, so that both lists are the same.
fn second_name(owner: &OwnerKey) -> OwnerKey {
    let (prefix, digest) = owner
        .as_str()
        .rsplit_once("owner:")
        .expect("it is the key of an owner");
    OwnerKey::from_stored(format!("{prefix}sid:{digest}"))
}

fn listed(bytes: &[u8], owner: &OwnerKey) -> Record {
    listed_until(bytes, owner, after(HOUR))
}

/// A walk through an owner's pages. The two handles take turns.
struct Walk<'f, S: ?Sized> {
    fixture: &'f Fixture<S>,
    owner: &'f OwnerKey,
    limit: usize,
    cursor: Option<Cursor>,
    pages: usize,
    heads: BTreeMap<StoreKey, Bytes>,
}

impl<'f, S: OwnerIndex + ?Sized> Walk<'f, S> {
    fn new(fixture: &'f Fixture<S>, owner: &'f OwnerKey, limit: usize) -> Self {
        Self {
            fixture,
            owner,
            limit,
            cursor: None,
            pages: 0,
            heads: BTreeMap::new(),
        }
    }

    /// Loads the next page. Returns how many records it has, and whether there is another page.
    async fn page(&mut self) -> (usize, bool) {
        let handles = [self.fixture.second(), self.fixture.store()];
        let store = handles[self.pages % 2];
        let page = done(
            store
                .owned_by(self.owner, self.cursor.as_ref(), self.limit)
                .await,
        );
        self.pages += 1;
        assert!(self.pages < MAX_PAGES, "the pages do not end");
        let records = page.records.len();
        self.heads
            .extend(page.records.into_iter().map(|it| (it.key, it.head)));
        self.cursor = page.next;
        (records, self.cursor.is_some())
    }

    async fn finish(mut self) -> Self {
        while self.page().await.1 {}
        self
    }
}

async fn keys_of<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
    owner: &OwnerKey,
    limit: usize,
) -> BTreeSet<StoreKey> {
    let walk = Walk::new(fixture, owner, limit).finish().await;
    walk.heads.into_keys().collect()
}

/// Checks that the owner's pages, and those of the second name, name exactly the expected records,
/// however small the pages are.
async fn lists<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
    owner: &OwnerKey,
    expected: &[&StoreKey],
) {
    let expected: BTreeSet<_> = expected.iter().map(|key| (*key).clone()).collect();
    for limit in [1, 2, 3, 100] {
        for name in [owner, &second_name(owner)] {
            let keys = keys_of(fixture, name, limit).await;
            assert_eq!(
                keys, expected,
                "the owner's list or that of the second name, in pages of {limit}, is wrong"
            );
        }
    }
}

/// A record is listed under each name that its entry has, and under no other. An owner whose name is
/// that of a provider's session is another list.
pub async fn a_record_is_listed_under_both_of_its_names<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let owners = [fixture.owner(), fixture.owner()];
    let sids = [fixture.owner(), fixture.owner()].map(|it| second_name(&it));
    let (all, other) = ([fixture.key(), fixture.key(), fixture.key()], fixture.key());
    let with = |owner: &OwnerKey, sid: Option<&OwnerKey>, until| Record {
        entry: Some(IndexEntry {
            owner: owner.clone(),
            provider_session: sid.cloned(),
            expires_at: until,
        }),
        ..record(b"it")
    };
    let hour = after(HOUR);
    for (key, owner, sid) in [
        (&all[0], &owners[0], Some(&sids[0])),
        (&all[1], &owners[0], Some(&sids[1])),
        (&all[2], &owners[1], Some(&sids[0])),
        (&other, &owners[0], None),
    ] {
        stored(store.insert(key, &with(owner, sid, hour)).await);
    }
    let names = async |name: &OwnerKey, expected: &[&StoreKey]| {
        let keys = keys_of(fixture, name, 100).await;
        let expected: BTreeSet<_> = expected.iter().map(|key| (*key).clone()).collect();
        assert_eq!(
            keys, expected,
            "the list of one of a record's two names is wrong"
        );
    };
    names(&owners[0], &[&all[0], &all[1], &other]).await;
    names(&owners[1], &[&all[2]]).await;
    names(&sids[0], &[&all[0], &all[2]]).await;
    names(&sids[1], &[&all[1]]).await;
    names(&second_name(&owners[0]), &[]).await;
    // Both entries end with the session, and one that gets its second name later is listed, too.
    let loaded = found(store.load(&all[0]).await, b"it");
    let ended = with(&owners[0], Some(&sids[0]), SystemTime::now());
    stored(store.update(&all[0], &ended, &loaded.revision).await);
    let loaded = found(store.load(&other).await, b"it");
    let adopted = with(&owners[0], Some(&sids[1]), hour);
    stored(store.update(&other, &adopted, &loaded.revision).await);
    names(&sids[1], &[&all[1], &other]).await;
    done(store.delete(&all[1]).await);
    names(&sids[1], &[&other]).await;
}

/// [`SessionStore::owner_index`](crate::SessionStore::owner_index) returns the store. Otherwise
/// [`Sessions::new`](crate::Sessions::new) refuses it as a store that cannot list.
pub async fn a_store_that_can_list_offers_its_index<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let (key, owner) = (fixture.key(), fixture.owner());
    let index = fixture.store().clone().owner_index();
    let index = index.expect("owner_index() returns the store itself");
    stored(fixture.store().insert(&key, &listed(b"a", &owner)).await);
    let page = done(index.owned_by(&owner, None, 10).await);
    assert!(page.records.iter().any(|listed| listed.key == key));
}

/// An owner's pages have all records of that owner, and none of another owner or without an owner.
pub async fn owned_by_lists_an_owners_records_and_no_others<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let [one, other, nobody] = [(); 3].map(|()| fixture.owner());
    let keys = [(); 8].map(|()| fixture.key());
    for key in &keys[..7] {
        stored(store.insert(key, &listed(b"one", &one)).await);
    }
    stored(store.insert(&keys[7], &listed(b"other", &other)).await);
    stored(store.insert(&fixture.key(), &record(b"unlisted")).await);
    lists(fixture, &one, &keys[..7].iter().collect::<Vec<_>>()).await;
    lists(fixture, &other, &[&keys[7]]).await;
    lists(fixture, &nobody, &[]).await;
}

/// Each key comes with the first bytes of the record as it is now, also for the largest record and
/// for an empty one.
pub async fn a_page_gives_the_head_of_each_record<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let (store, owner) = (fixture.store(), fixture.owner());
    let whole = noise(store.limit());
    let mut records = BTreeMap::new();
    for length in [
        0,
        1,
        Record::HEAD - 1,
        Record::HEAD,
        Record::HEAD + 1,
        5 * Record::HEAD,
        whole.len(),
    ] {
        let (inserted, updated) = (fixture.key(), fixture.key());
        let bytes = &whole[..length.min(whole.len())];
        let revision = stored(store.insert(&updated, &listed(b"before", &owner)).await);
        stored(store.insert(&inserted, &listed(bytes, &owner)).await);
        stored(
            store
                .update(&updated, &listed(bytes, &owner), &revision)
                .await,
        );
        records.extend([(inserted, bytes), (updated, bytes)]);
    }
    let walk = Walk::new(fixture, &owner, 3).finish().await;
    for (key, bytes) in &records {
        let head = walk.heads.get(key).expect("a record is not listed");
        assert!(
            head.len() >= bytes.len().min(Record::HEAD) && bytes.starts_with(head),
            "the first bytes of a record of {} bytes are wrong: {} bytes",
            bytes.len(),
            head.len()
        );
    }
}

/// A page has about as many records as its limit, not all that there are.
pub async fn a_page_keeps_to_its_limit<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    const RECORDS: usize = 200;
    const LIMIT: usize = 10;
    let owner = fixture.owner();
    let keys: Vec<_> = (0..RECORDS).map(|_| fixture.key()).collect();
    for key in &keys {
        stored(fixture.store().insert(key, &listed(b"x", &owner)).await);
    }
    let mut walk = Walk::new(fixture, &owner, LIMIT);
    loop {
        let (records, more) = walk.page().await;
        assert!(
            records <= RECORDS / 2,
            "a page with the limit {LIMIT} has {records} records"
        );
        if !more {
            break;
        }
    }
    assert!(
        walk.heads.into_keys().eq(BTreeSet::from_iter(keys)),
        "the owner's list is wrong"
    );
}

/// Records that end or move in the index between two pages hide no other record. A record that
/// moved is still listed.
pub async fn pages_miss_no_record_while_others_change<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, owner) = (fixture.store(), fixture.owner());
    let mut records = Vec::new();
    for hours in 2..26 {
        let (key, until) = (fixture.key(), after(hours * HOUR));
        let revision = stored(store.insert(&key, &listed_until(b"1", &owner, until)).await);
        records.push((key, revision));
    }
    let mut walk = Walk::new(fixture, &owner, 4);
    walk.page().await;
    walk.page().await;
    let (seen, unseen): (Vec<_>, Vec<_>) = records
        .into_iter()
        .partition(|(key, _)| walk.heads.contains_key(key));
    for (number, (key, revision)) in seen.iter().enumerate() {
        if number % 3 == 0 {
            let marker = listed_until(b"ended", &owner, soon());
            stored(store.update(key, &marker, revision).await);
        } else {
            done(store.delete(key).await);
        }
    }
    // Before all others, and after all others.
    for (until, (key, revision)) in [HOUR, 30 * HOUR].into_iter().cycle().zip(&unseen) {
        let moved = listed_until(b"2", &owner, after(until));
        stored(store.update(key, &moved, revision).await);
    }
    let walk = walk.finish().await;
    let missing = unseen
        .iter()
        .filter(|(key, _)| !walk.heads.contains_key(key))
        .count();
    assert_eq!(missing, 0, "of {} records some are missing", unseen.len());
}

/// A record whose insert returned before the first page is on one of the pages, whatever is written
/// meanwhile.
pub async fn a_record_inserted_before_the_first_page_is_never_missing<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
) {
    const TASKS: usize = 4;
    const ROUNDS_OF_ONE_OWNER: usize = 52;
    for _ in 0..rounds().div_ceil(ROUNDS_OF_ONE_OWNER) {
        let owner = fixture.owner();
        let inserted = Arc::new(Mutex::new(BTreeSet::new()));
        // Each task has its own fixture with the same handles, because a task must own what it
        // uses.
        let tasks = (0..TASKS)
            .map(|_| -> Task<()> {
                let fixture = Fixture::of(Arc::clone(fixture.store()))
                    .with_second(Arc::clone(fixture.second()));
                let (owner, inserted) = (owner.clone(), Arc::clone(&inserted));
                Box::pin(async move {
                    for round in 0..ROUNDS_OF_ONE_OWNER / TASKS {
                        insert_and_list(&fixture, &owner, &inserted, round).await;
                    }
                })
            })
            .collect();
        together(tasks).await;
    }
}

/// Inserts a record that stays and one that ends, moves the one that stays, and lists all that
/// stay.
async fn insert_and_list<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
    owner: &OwnerKey,
    inserted: &Mutex<BTreeSet<StoreKey>>,
    round: usize,
) {
    let store = fixture.store();
    let (stays, ends) = (fixture.key(), fixture.key());
    let first = stored(store.insert(&stays, &listed(b"stays", owner)).await);
    let before = {
        let mut inserted = inserted.lock().unwrap_or_else(PoisonError::into_inner);
        inserted.insert(stays.clone());
        inserted.clone()
    };
    let revision = stored(store.insert(&ends, &listed(b"ends", owner)).await);
    if round.is_multiple_of(2) {
        done(store.delete(&ends).await);
    } else {
        let marker = listed_until(b"ended", owner, soon());
        stored(store.update(&ends, &marker, &revision).await);
    }
    let until = if round.is_multiple_of(3) {
        after(DAY)
    } else {
        after(HOUR / 2)
    };
    let change = listed_until(b"changed", owner, until);
    stored(store.update(&stays, &change, &first).await);
    let keys = keys_of(fixture, owner, 3).await;
    let missing = before.difference(&keys).count();
    assert_eq!(missing, 0, "of {} records some are missing", before.len());
}

/// An update can move an entry to a later time: the record stays listed beyond its first time.
pub async fn an_entry_moves_to_a_later_time<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let (store, owner, key) = (fixture.store(), fixture.owner(), fixture.key());
    let first = soon();
    let session = listed_until(b"session", &owner, first);
    let revision = stored(store.insert(&key, &session).await);
    // The same bytes, as a refresh writes them.
    stored(
        store
            .update(&key, &listed(b"session", &owner), &revision)
            .await,
    );
    stays_listed(fixture, &owner, &key, first).await;
}

/// An update can move an entry to an earlier time: the record leaves the list after that time,
/// although it is still found.
pub async fn an_entry_moves_to_an_earlier_time<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let (store, owner) = (fixture.store(), fixture.owner());
    let [kept, ended] = [(); 2].map(|()| fixture.key());
    stored(store.insert(&kept, &listed(b"kept", &owner)).await);
    let far = listed_until(b"session", &owner, after(DAY));
    let revision = stored(store.insert(&ended, &far).await);
    let end = soon();
    let marker = listed_until(b"marker", &owner, end);
    stored(store.update(&ended, &marker, &revision).await);
    wait_until(end).await;
    eventually_lists(fixture, &owner, |walk| {
        assert!(
            walk.heads.contains_key(&kept),
            "a live record left the list"
        );
        !walk.heads.contains_key(&ended)
    })
    .await;
    found(store.load(&ended).await, b"marker");
}

/// An update with an entry lists a record that was not listed. One without an entry leaves the
/// index unchanged.
pub async fn an_update_changes_the_index_by_its_entry_alone<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, owner) = (fixture.store(), fixture.owner());
    let [unlisted, adopted, handed_over, kept] = [(); 4].map(|()| fixture.key());
    let (plain, by_owner) = (record(b"two"), listed(b"two", &owner));
    for (key, before, then) in [
        (&kept, listed(b"one", &owner), &plain),
        (&unlisted, record(b"one"), &plain),
        (&adopted, record(b"one"), &by_owner),
        (&handed_over, listed(b"one", &fixture.owner()), &by_owner),
    ] {
        let revision = stored(store.insert(key, &before).await);
        stored(store.update(key, then, &revision).await);
    }
    lists(fixture, &owner, &[&adopted, &handed_over, &kept]).await;
    let walk = Walk::new(fixture, &owner, 10).finish().await;
    assert!(
        walk.heads.values().all(|head| head.starts_with(b"two")),
        "the first bytes of a record are those of an older write"
    );
}

/// An update that was overtaken does not replace the later time of a later update by its own
/// earlier one.
pub async fn an_overtaken_update_ends_no_entry<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let owner = fixture.owner();
    let mut keys = BTreeSet::new();
    for _ in 0..rounds() {
        let key = fixture.key();
        let first = listed(b"first", &owner);
        let revision = stored(fixture.store().insert(&key, &first).await);
        let shorter = listed_until(b"shorter", &owner, soon());
        let longer = listed_until(b"longer", &owner, after(DAY));
        let (one, other) = (Arc::clone(fixture.store()), Arc::clone(fixture.second()));
        let (of_one, of_other) = (key.clone(), key.clone());
        together::<()>(vec![
            Box::pin(async move {
                stored(one.update(&of_one, &shorter, &revision).await);
            }),
            Box::pin(async move {
                loop {
                    let held = done(other.load(&of_other).await).expect("nobody ends the record");
                    if held.bytes == b"shorter"[..] {
                        stored(other.update(&of_other, &longer, &held.revision).await);
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }),
        ])
        .await;
        keys.insert(key);
    }
    wait_until(soon()).await;
    let missing = keys.difference(&keys_of(fixture, &owner, 10).await).count();
    assert_eq!(missing, 0, "of {} records some are missing", keys.len());
}

/// A refused write moves no entry to an earlier time.
pub async fn a_refused_write_ends_no_entry<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let (store, owner) = (fixture.store(), fixture.owner());
    let [updated, inserted] = [(); 2].map(|()| fixture.key());
    let stale = stored(store.insert(&updated, &record(b"one")).await);
    stored(
        store
            .update(&updated, &listed(b"two", &owner), &stale)
            .await,
    );
    stored(store.insert(&inserted, &listed(b"one", &owner)).await);
    let end = soon();
    let short = listed_until(b"lost", &owner, end);
    refused(store.update(&updated, &short, &stale).await);
    refused(store.insert(&inserted, &short).await);
    stays_listed(fixture, &owner, &updated, end).await;
    stays_listed(fixture, &owner, &inserted, end).await;
}

/// A key that is used again after its record was deleted is listed again.
pub async fn a_key_used_again_is_listed_again<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let (store, owner) = (fixture.store(), fixture.owner());
    let [kept, reused] = [(); 2].map(|()| fixture.key());
    stored(store.insert(&kept, &listed(b"kept", &owner)).await);
    stored(store.insert(&reused, &listed(b"x", &owner)).await);
    done(store.delete(&reused).await);
    assert!(
        keys_of(fixture, &owner, 10).await.contains(&kept),
        "a live record left the list"
    );
    stored(store.insert(&reused, &listed(b"again", &owner)).await);
    lists(fixture, &owner, &[&kept, &reused]).await;
}

/// A list of many ended sessions shrinks to the few that are live, in few pages, when the time of
/// the others has passed.
pub async fn dead_entries_do_not_pile_up<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    const TASKS: usize = 8;
    const FEW: usize = 20;
    const FEW_PAGES: usize = 5;
    let (owner, living) = (fixture.owner(), fixture.key());
    stored(fixture.store().insert(&living, &listed(b"x", &owner)).await);
    let tasks = (0..TASKS)
        .map(|_| -> Task<SystemTime> {
            let (store, owner) = (Arc::clone(fixture.store()), owner.clone());
            let keys: Vec<_> = (0..(rounds() * 20).max(1000) / TASKS)
                .map(|_| fixture.key())
                .collect();
            Box::pin(async move {
                let mut end = soon();
                for key in keys {
                    let session = listed_until(b"session", &owner, after(DAY));
                    let revision = stored(store.insert(&key, &session).await);
                    end = soon();
                    let marker = listed_until(b"marker", &owner, end);
                    stored(store.update(&key, &marker, &revision).await);
                }
                end
            })
        })
        .collect();
    if let Some(last) = together(tasks).await.into_iter().max() {
        wait_until(last).await;
    }
    eventually_lists(fixture, &owner, |walk| {
        assert!(
            walk.heads.contains_key(&living),
            "a live record left the list"
        );
        walk.heads.len() <= FEW && walk.pages <= FEW_PAGES
    })
    .await;
}

/// If the call for a page is dropped before it returns, no other call receives that page.
pub async fn a_dropped_page_disturbs_no_other_call<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let [one, other] = [(); 2].map(|()| (fixture.owner(), fixture.key()));
    for (owner, key) in [&one, &other] {
        stored(store.insert(key, &listed(b"x", owner)).await);
    }
    for round in 0..rounds() {
        polled(store.owned_by(&one.0, None, 10), round % 4 + 1).await;
        let page = done(store.owned_by(&other.0, None, 10).await);
        assert!(
            page.records.iter().map(|it| &it.key).eq([&other.1]),
            "the page is another owner's"
        );
        found(store.load(&one.1).await, b"x");
    }
}

/// One owner's name under two prefixes is two owners.
pub async fn owners_of_two_prefixes_are_two_owners<S: OwnerIndex + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let elsewhere = Fixture::of(Arc::clone(store)).with_second(Arc::clone(fixture.second()));
    let [one, other] = [fixture, &elsewhere].map(|f| (f.prefix().owner_key("ada"), f.key()));
    for (owner, key) in [&one, &other] {
        stored(store.insert(key, &listed(b"x", owner)).await);
    }
    lists(fixture, &one.0, &[&one.1]).await;
    lists(fixture, &other.0, &[&other.1]).await;
}

/// Waits until `passed`, gives the index occasions to drop the entry of `key`, and expects it to be
/// listed.
async fn stays_listed<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
    owner: &OwnerKey,
    key: &StoreKey,
    passed: SystemTime,
) {
    wait_until(passed).await;
    for _ in 0..3 {
        let another = listed(b"another", owner);
        stored(fixture.store().insert(&fixture.key(), &another).await);
        for name in [owner, &second_name(owner)] {
            assert!(
                keys_of(fixture, name, 2).await.contains(key),
                "a record left its owner's list, or that of the second name, before its time"
            );
        }
    }
}

/// Lists and writes until `enough` accepts the list, or the allowed delay is over.
async fn eventually_lists<S: OwnerIndex + ?Sized>(
    fixture: &Fixture<S>,
    owner: &OwnerKey,
    enough: impl Fn(&Walk<'_, S>) -> bool,
) {
    let (last, second) = (after(SLACK), second_name(owner));
    loop {
        let mut walk = Walk::new(fixture, owner, 100).finish().await;
        if enough(&walk) {
            walk = Walk::new(fixture, &second, 100).finish().await;
            if enough(&walk) {
                return;
            }
        }
        assert!(
            SystemTime::now() < last,
            "{} s after the last entry's time had passed, the list does not leave out the entries that it should: it \
             has {} record(s) on {} page(s)",
            SLACK.as_secs(),
            walk.heads.len(),
            walk.pages
        );
        // An index may drop entries when another is written.
        let key = fixture.key();
        stored(
            fixture
                .store()
                .insert(&key, &listed(b"another", owner))
                .await,
        );
        done(fixture.store().delete(&key).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
