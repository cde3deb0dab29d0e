//! The promises of stores whose records can all be read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    Fixture,
    answers::{done, found, stored},
    bytes::noise,
    handles::polled,
    rounds,
    time::record,
};
use crate::{
    id::SessionId,
    key::{KeyPrefix, StoreKey},
    record::{Cursor, Record},
    store::Scan,
};

/// More pages than any scan here has, also if each page has no record of the prefix.
const MAX_PAGES: usize = 100_000;

/// A walk through the records of a prefix. The two handles take turns.
struct Walk<'f, S: ?Sized> {
    fixture: &'f Fixture<S>,
    prefix: &'f KeyPrefix,
    limit: usize,
    cursor: Option<Cursor>,
    pages: usize,
    heads: BTreeMap<StoreKey, Bytes>,
}

impl<'f, S: Scan + ?Sized> Walk<'f, S> {
    fn new(fixture: &'f Fixture<S>, prefix: &'f KeyPrefix, limit: usize) -> Self {
        Self {
            fixture,
            prefix,
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
        let page = store.records(self.prefix, self.cursor.as_ref(), self.limit);
        let page = done(page.await);
        self.pages += 1;
        assert!(self.pages < MAX_PAGES, "the pages do not end");
        let records = page.records.len();
        for listed in page.records {
            self.heads.insert(listed.key, listed.head);
        }
        self.cursor = page.next;
        (records, self.cursor.is_some())
    }

    async fn finish(mut self) -> Self {
        while self.page().await.1 {}
        self
    }
}

/// Checks that the pages of `prefix` have exactly the expected records, whatever their size.
async fn lists<S: Scan + ?Sized>(
    fixture: &Fixture<S>,
    prefix: &KeyPrefix,
    expected: &BTreeSet<StoreKey>,
) {
    for limit in [1, 3, 1000] {
        let walk = Walk::new(fixture, prefix, limit).finish().await;
        let keys: BTreeSet<_> = walk.heads.into_keys().collect();
        assert!(
            keys == *expected,
            "the records in pages of {limit} are wrong: {} of {} are there, and {} others",
            keys.intersection(expected).count(),
            expected.len(),
            keys.difference(expected).count(),
        );
    }
}

/// [`SessionStore::scan`](crate::SessionStore::scan) returns the store. Otherwise no tool finds out
/// that it can be read.
pub async fn a_store_that_can_be_scanned_offers_it<S: Scan + ?Sized>(fixture: &Fixture<S>) {
    let key = fixture.key();
    stored(fixture.store().insert(&key, &record(b"a")).await);
    let scan = fixture.store().clone().scan();
    let scan = scan.expect("scan() returns the store itself");
    let page = done(scan.records(fixture.prefix(), None, 1000).await);
    let first = page.records.iter().any(|listed| listed.key == key);
    assert!(first || page.next.is_some(), "a record is on no page");
}

/// A scan has each record whose key the prefix makes, and no other. A prefix is no pattern, and
/// another prefix that begins with it makes other keys.
pub async fn a_scan_finds_the_records_of_its_prefix_and_no_others<S: Scan + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let prefixes = [
        "", "a*", "ab", "a?", "a[b]", "a^", "a_", "a%", "a\\", "A*", "a.*",
    ]
    .map(|end| {
        let text = format!("{}{end}", fixture.prefix().as_str());
        KeyPrefix::new(&text).expect("it is short")
    });
    let mut expected = Vec::new();
    for prefix in &prefixes {
        let ids = [(); 2].map(|()| SessionId::random(SessionId::DEFAULT_BYTES));
        let [one, two] = ids.map(|id| prefix.hashed_key(&id));
        let keys = BTreeSet::from([one, two, prefix.logins_key("ada")]);
        for key in &keys {
            stored(store.insert(key, &record(b"it")).await);
        }
        let no_record = StoreKey::from_stored(format!("{}0123", prefix.as_str()));
        stored(store.insert(&no_record, &record(b"other")).await);
        expected.push(keys);
    }
    for (prefix, expected) in prefixes.iter().zip(&expected) {
        lists(fixture, prefix, expected).await;
    }
    let others = Fixture::of(store.clone());
    lists(fixture, others.prefix(), &BTreeSet::new()).await;
}

/// Each key comes with the first bytes of the record as it is now, also for the largest record and
/// for an empty one.
pub async fn a_scan_gives_the_head_of_each_record<S: Scan + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let whole = noise(store.limit());
    let mut records = BTreeMap::new();
    for length in [0, 1, Record::HEAD, Record::HEAD + 1, whole.len()] {
        let (inserted, updated) = (fixture.key(), fixture.key());
        let bytes = &whole[..length.min(whole.len())];
        let revision = stored(store.insert(&updated, &record(b"before")).await);
        stored(store.insert(&inserted, &record(bytes)).await);
        stored(store.update(&updated, &record(bytes), &revision).await);
        records.extend([(inserted, bytes), (updated, bytes)]);
    }
    let walk = Walk::new(fixture, fixture.prefix(), 3).finish().await;
    for (key, bytes) in &records {
        let head = walk.heads.get(key).expect("a record is on no page");
        assert!(
            head.len() >= bytes.len().min(Record::HEAD) && bytes.starts_with(head),
            "the first bytes of a record of {} bytes are wrong: {} bytes",
            bytes.len(),
            head.len()
        );
    }
}

/// A page has about as many records as its limit, not all that there are.
pub async fn a_page_of_a_scan_keeps_to_its_limit<S: Scan + ?Sized>(fixture: &Fixture<S>) {
    const RECORDS: usize = 200;
    const LIMIT: usize = 10;
    let keys: BTreeSet<_> = (0..RECORDS).map(|_| fixture.key()).collect();
    for key in &keys {
        stored(fixture.store().insert(key, &record(b"x")).await);
    }
    let mut walk = Walk::new(fixture, fixture.prefix(), LIMIT);
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
    assert!(walk.heads.into_keys().eq(keys), "the records are wrong");
}

/// Records that are inserted, changed and removed between two pages hide no other record.
pub async fn a_scan_misses_no_record_while_others_change<S: Scan + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let (mut stay, mut revisions) = (BTreeSet::new(), BTreeMap::new());
    for _ in 0..40 {
        let key = fixture.key();
        revisions.insert(key.clone(), stored(store.insert(&key, &record(b"1")).await));
        stay.insert(key);
    }
    let mut walk = Walk::new(fixture, fixture.prefix(), 4);
    let mut more = true;
    while more {
        more = walk.page().await.1;
        let seen: Vec<_> = stay
            .iter()
            .filter(|it| walk.heads.contains_key(*it))
            .collect();
        // What was seen and not removed yet goes, and something else takes its room.
        if let Some(removed) = seen.first().map(|it| (*it).clone()) {
            done(store.delete(&removed).await);
            stay.remove(&removed);
            stored(store.insert(&fixture.key(), &record(b"new")).await);
        }
        for key in &stay {
            let bytes = noise(2000 + walk.pages);
            let changed = store.update(key, &record(&bytes), &revisions[key]).await;
            revisions.insert(key.clone(), stored(changed));
        }
    }
    let missing = stay.iter().filter(|key| !walk.heads.contains_key(*key));
    assert_eq!(missing.count(), 0, "records are on no page");
}

/// If the call for a page is dropped before it returns, no other call receives that page.
pub async fn a_dropped_page_of_a_scan_disturbs_no_other_call<S: Scan + ?Sized>(
    fixture: &Fixture<S>,
) {
    let store = fixture.store();
    let other = Fixture::of(store.clone());
    let [one, two] = [fixture, &other].map(|it| (it.prefix(), it.key()));
    for (_, key) in [&one, &two] {
        stored(store.insert(key, &record(b"x")).await);
    }
    for round in 0..rounds() {
        polled(store.records(one.0, None, 10), round % 4 + 1).await;
        let page = done(store.records(two.0, None, 10).await);
        assert!(
            page.records.iter().all(|it| it.key == two.1),
            "the page is that of another prefix"
        );
        found(store.load(&one.1).await, b"x");
    }
}
