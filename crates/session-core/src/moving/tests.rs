use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use super::*;
use crate::{
    Sessions, Settings,
    cookie::CookieAttributes,
    id::SessionId,
    memory::MemoryStore,
    request_session::{Finish, RequestSession},
};

fn stores() -> [Arc<MemoryStore>; 2] {
    [(); 2].map(|()| Arc::new(MemoryStore::new()))
}

fn key() -> StoreKey {
    let id = SessionId::random(SessionId::DEFAULT_BYTES);
    KeyPrefix::default().hashed_key(&id)
}

fn record(bytes: &'static [u8]) -> Record {
    Record {
        bytes: Bytes::from_static(bytes),
        expires_at: SystemTime::now() + Duration::from_secs(3600),
        entry: None,
    }
}

fn revision(write: Write) -> Revision {
    match write {
        Write::Stored(revision) => revision,
        Write::Refused => panic!("the write was refused"),
    }
}

/// The records in the store that are more than what is left of one.
async fn count(store: &Arc<MemoryStore>) -> usize {
    let scan = store.clone().scan().unwrap();
    let page = scan.records(&KeyPrefix::default(), None, 100).await;
    let records = page.unwrap().records;
    records.iter().filter(|it| !is_nothing(&it.head)).count()
}

/// The key of the only record.
async fn only_key(store: &Arc<MemoryStore>) -> StoreKey {
    let scan = store.clone().scan().unwrap();
    let page = scan.records(&KeyPrefix::default(), None, 2).await.unwrap();
    let [listed] = &page.records[..] else {
        panic!("{} records", page.records.len());
    };
    listed.key.clone()
}

/// The user whom this cookie logs in on each of the stores, alone or as two.
async fn owners_on(stores: &[Arc<dyn SessionStore>], cookie: &str) -> Vec<Option<String>> {
    let mut owners = Vec::new();
    for store in stores {
        let visit = sessions(store.clone()).begin_request();
        let session = visit.session(&mut [cookie.as_bytes()].into_iter()).await;
        owners.push(session.unwrap().owner().map(|it| it.to_string()));
    }
    owners
}

async fn bytes_in(store: &dyn SessionStore, key: &StoreKey) -> Option<Bytes> {
    store.load(key).await.unwrap().map(|it| it.bytes)
}

#[tokio::test]
async fn the_first_change_moves_a_record_and_leaves_nothing_behind() {
    let [new, old] = stores();
    let (key, moving) = (key(), Moving::new(new.clone(), old.clone()));
    revision(old.insert(&key, &record(b"1")).await.unwrap());
    let loaded = moving.load(&key).await.unwrap().unwrap();
    assert_eq!(loaded.bytes, &b"1"[..]);
    let second = moving.update(&key, &record(b"2"), &loaded.revision).await;
    let second = revision(second.unwrap());
    assert_eq!(bytes_in(&*new, &key).await.unwrap(), &b"2"[..]);
    assert_eq!(bytes_in(&*old, &key).await, None);
    let again = moving.update(&key, &record(b"3"), &loaded.revision).await;
    assert_eq!(again.unwrap(), Write::Refused);
    revision(moving.update(&key, &record(b"3"), &second).await.unwrap());
    assert_eq!(bytes_in(&moving, &key).await.unwrap(), &b"3"[..]);
}

#[tokio::test]
async fn what_a_stopped_process_left_is_moved_by_the_next_one() {
    let [new, old] = stores();
    let (key, moving) = (key(), Moving::new(new.clone(), old.clone()));
    let before = revision(old.insert(&key, &record(b"1")).await.unwrap());
    assert!(moving.claim(&key, &record(b"2"), &before).await.unwrap());
    // It stopped here. A process that loaded the record before changes nothing any more.
    let late = Origin::Old(before).tagged();
    assert_eq!(
        moving.update(&key, &record(b"late"), &late).await.unwrap(),
        Write::Refused
    );
    for reader in [
        Moving::new(new.clone(), old.clone()),
        Moving::announced(new.clone(), old.clone()),
    ] {
        assert_eq!(bytes_in(&reader, &key).await.unwrap(), &b"2"[..]);
    }
    assert_eq!(bytes_in(&*new, &key).await.unwrap(), &b"2"[..]);
    assert_eq!(bytes_in(&*old, &key).await, None);
}

#[tokio::test]
async fn a_process_that_stops_on_the_way_leaves_no_session_that_its_owners_list_does_not_name() {
    let later = SystemTime::now() + Duration::from_secs(7200);
    let [new, old] =
        [(); 2].map(|()| Arc::new(MemoryStore::new().with_clock(Arc::new(move || later))));
    let (key, owner) = (key(), KeyPrefix::default().owner_key("ada"));
    let listed = |bytes, until| Record {
        entry: Some(IndexEntry {
            owner: owner.clone(),
            provider_session: None,
            expires_at: until,
        }),
        ..record(bytes)
    };
    let (soon, long) = (
        later - Duration::from_secs(1),
        later + Duration::from_secs(7200),
    );
    let moving = Moving::new(new.clone(), old.clone());
    let before = revision(old.insert(&key, &listed(b"1", soon)).await.unwrap());
    // It stops after the first step, and the time of the entry that the record had goes by.
    assert!(
        moving
            .claim(&key, &listed(b"2", long), &before)
            .await
            .unwrap()
    );
    let page = moving.owned_by(&owner, None, 10).await.unwrap();
    assert!(page.records.iter().any(|it| it.key == key));
}

#[tokio::test]
async fn the_way_back_overwrites_what_was_left_and_keeps_what_is_newer() {
    let [new, old] = stores();
    let (key, there) = (key(), Moving::new(new.clone(), old.clone()));
    let before = revision(old.insert(&key, &record(b"1")).await.unwrap());
    assert!(there.claim(&key, &record(b"2"), &before).await.unwrap());
    let back = Moving::new(old.clone(), new.clone());
    // The second step was never taken, so this is all there is.
    let loaded = back.load(&key).await.unwrap().unwrap();
    assert_eq!(loaded.bytes, &b"2"[..]);
    let third = back.update(&key, &record(b"3"), &loaded.revision).await;
    revision(third.unwrap());
    assert_eq!(bytes_in(&*old, &key).await.unwrap(), &b"3"[..]);
    assert_eq!(bytes_in(&*new, &key).await, None);

    // The second step was taken, and only the mark is left.
    let other = self::key();
    let before = revision(old.insert(&other, &record(b"1")).await.unwrap());
    assert!(there.claim(&other, &record(b"2"), &before).await.unwrap());
    revision(new.insert(&other, &record(b"3")).await.unwrap());
    let loaded = back.load(&other).await.unwrap().unwrap();
    assert_eq!(loaded.bytes, &b"3"[..]);
    revision(
        back.update(&other, &record(b"4"), &loaded.revision)
            .await
            .unwrap(),
    );
    assert_eq!(bytes_in(&*old, &other).await.unwrap(), &b"4"[..]);
    assert_eq!(bytes_in(&*new, &other).await, None);
}

/// A session in the old store, the record of its next change, and its cookie.
async fn logged_in(old: &Arc<MemoryStore>) -> (String, StoreKey, Record, Revision) {
    let cookie = sessions(old.clone()).cookie_of(|it| it.log_in("ada")).await;
    let key = only_key(old).await;
    let loaded = old.load(&key).await.unwrap().unwrap();
    let changed = Record {
        bytes: loaded.bytes,
        ..record(b"")
    };
    (cookie.unwrap(), key, changed, loaded.revision)
}

#[tokio::test]
async fn a_way_back_that_begins_beside_a_process_that_still_moves_there_revives_nothing() {
    let [new, old] = stores();
    let (cookie, key, changed, before) = logged_in(&old).await;
    let there = Moving::new(new.clone(), old.clone());
    let seen = Seen::now();
    assert!(there.claim(&key, &changed, &before).await.unwrap());
    // Before it takes the next step, another process begins the way back, and the user logs out.
    let back = Moving::announced(old.clone(), new.clone());
    let visit = sessions(Arc::new(back.clone())).begin_request();
    let session = visit.session(&mut [cookie.as_bytes()].into_iter()).await;
    let session = session.unwrap();
    assert_eq!(session.owner().as_deref(), Some("ada"));
    session.log_out();
    finish(&visit).await;
    let _late = there.finish(&key, &changed, seen).await.unwrap();
    // The tombstones go, ten minutes later.
    for store in [&new, &old] {
        for tombstone in [false, true] {
            let pair: [Arc<dyn SessionStore>; 2] =
                [Arc::new(there.clone()), Arc::new(back.clone())];
            assert_eq!(owners_on(&pair, &cookie).await, [None, None], "{tombstone}");
            let held = bytes_in(&**store, &key).await;
            if held.is_some_and(|it| end_of(&it).is_none() && !is_marked(&it)) {
                store.delete(&key).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_moves_away_while_a_request_ends_or_renews_it_is_not_lost() {
    for renews in [true, false] {
        let [new, old] = stores();
        let (cookie, key, ..) = logged_in(&old).await;
        let there = Moving::new(new.clone(), old.clone());
        let back = Moving::announced(old.clone(), new.clone());
        let visit = sessions(Arc::new(back.clone())).begin_request();
        let session = visit.session(&mut [cookie.as_bytes()].into_iter()).await;
        let session = session.unwrap();
        let until = |_: &Bytes| Some(SystemTime::now() + Duration::from_secs(3600));
        assert!(there.carry(&key, until).await.unwrap());
        if renews {
            session.renew();
        } else {
            session.log_out();
        }
        let header = finish(&visit).await.unwrap();
        let renewed = header.split(';').next().unwrap();
        let pair: [Arc<dyn SessionStore>; 2] = [Arc::new(there), Arc::new(back)];
        if renews {
            let expected = Some("ada".to_owned());
            assert_eq!(
                owners_on(&pair, renewed).await,
                [expected.clone(), expected]
            );
        } else {
            assert_eq!(owners_on(&pair, &cookie).await, [None, None]);
        }
    }
}

#[tokio::test]
async fn a_mark_that_was_left_revives_nothing_on_the_way_back() {
    let [new, old] = stores();
    let (cookie, key, changed, before) = logged_in(&old).await;
    let there = Moving::new(new.clone(), old.clone());
    assert!(there.claim(&key, &changed, &before).await.unwrap());
    let _stored = new.insert(&key, &changed).await.unwrap();
    // It stopped here. The way back begins, the user logs out, and ten minutes later the tombstone
    // goes.
    for back in [
        Moving::announced(old.clone(), new.clone()),
        Moving::new(old.clone(), new.clone()),
    ] {
        let visit = sessions(Arc::new(back.clone())).begin_request();
        let session = visit.session(&mut [cookie.as_bytes()].into_iter()).await;
        session.unwrap().log_out();
        finish(&visit).await;
        for store in [&new, &old] {
            let held = bytes_in(&**store, &key).await;
            if held.is_some_and(|it| !is_marked(&it)) {
                store.delete(&key).await.unwrap();
            }
        }
        assert_eq!(owners_on(&[Arc::new(back)], &cookie).await, [None]);
    }
}

/// A store in which others are quicker than one of these calls, once.
#[derive(Debug)]
struct Overtaken {
    store: Arc<MemoryStore>,
    loads: AtomicUsize,
    /// Before this load, the record changes.
    load: usize,
    /// Before the first update, another process marks the record, and is killed then.
    update: AtomicBool,
}

impl Overtaken {
    fn on(store: &Arc<MemoryStore>, load: usize, update: bool) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            loads: AtomicUsize::new(0),
            load,
            update: update.into(),
        })
    }
}

#[async_trait]
impl SessionStore for Overtaken {
    fn limit(&self) -> usize {
        self.store.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        if self.loads.fetch_add(1, Ordering::Relaxed) + 1 == self.load {
            let before = self.store.load(key).await?.unwrap().revision;
            revision(self.store.update(key, &record(b"3"), &before).await?);
        }
        self.store.load(key).await
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.store.insert(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, before: &Revision) -> Result<Write> {
        if self.update.swap(false, Ordering::Relaxed) {
            revision(self.store.update(key, record, before).await?);
        }
        self.store.update(key, record, before).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.store.delete(key).await
    }
}

#[tokio::test]
async fn a_record_that_others_change_or_mark_meanwhile_leaves_the_old_store() {
    for is_there in [true, false] {
        let ([new, old], key) = (stores(), key());
        let before = revision(old.insert(&key, &record(b"1")).await.unwrap());
        let there = Moving::new(new.clone(), old.clone());
        if is_there {
            // A process was killed before its last step.
            assert!(there.claim(&key, &record(b"1"), &before).await.unwrap());
            revision(new.insert(&key, &record(b"1")).await.unwrap());
        }
        let beside = Moving::new(
            Overtaken::on(&new, if is_there { 2 } else { 0 }, false),
            Overtaken::on(&old, 0, !is_there),
        );
        let until = |_: &Bytes| Some(SystemTime::now() + Duration::from_secs(60));
        assert!(!beside.carry(&key, until).await.unwrap());
        assert_eq!((count(&new).await, count(&old).await), (1, 0), "{is_there}");
    }
}

#[tokio::test]
async fn who_finishes_a_move_late_puts_nothing_beside_what_has_come_back() {
    let [new, old] = stores();
    let (key, there) = (key(), Moving::new(new.clone(), old.clone()));
    let before = revision(old.insert(&key, &record(b"1")).await.unwrap());
    assert!(there.claim(&key, &record(b"2"), &before).await.unwrap());
    let back = Moving::new(old.clone(), new.clone());
    // One process has seen the mark, and before it goes on, another one moves the record back.
    let mark = old.load(&key).await.unwrap().unwrap().revision;
    let seen = Seen::now();
    let loaded = back.load(&key).await.unwrap().unwrap();
    let third = back.update(&key, &record(b"3"), &loaded.revision).await;
    revision(third.unwrap());
    let late = back.finish_other(&key, &record(b"2"), &mark, seen).await;
    late.unwrap();
    assert_eq!(bytes_in(&*old, &key).await.unwrap(), &b"3"[..]);
    assert_eq!(count(&new).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_suspended_does_not_go_on_with_a_move() {
    let [new, old] = stores();
    let (key, there) = (key(), Moving::new(new.clone(), old.clone()));
    let before = revision(old.insert(&key, &record(b"1")).await.unwrap());
    let seen = Seen::now();
    assert!(there.claim(&key, &record(b"2"), &before).await.unwrap());
    tokio::time::advance(Duration::from_secs(12 * 60)).await;
    // Others have finished, the session has ended, and its tombstone is gone.
    old.delete(&key).await.unwrap();
    assert!(there.finish(&key, &record(b"2"), seen).await.is_err());
    assert_eq!((count(&new).await, count(&old).await), (0, 0));
}

#[tokio::test]
async fn a_key_that_two_processes_may_make_is_in_one_store() {
    let [new, old] = stores();
    let there = Moving::new(new.clone(), old.clone());
    let announced = Moving::announced(new.clone(), old.clone());
    let at = Millis::from(SystemTime::now());
    let note = |key: &StoreKey| Record {
        bytes: codec::note(key, at, at.after(Duration::from_secs(60)), *b"12345678"),
        ..record(b"")
    };
    for (first, second) in [(&there, &announced), (&announced, &there)] {
        let key = key();
        revision(first.insert(&key, &note(&key)).await.unwrap());
        let other = second.insert(&key, &note(&key)).await.unwrap();
        assert_eq!(other, Write::Refused);
        let loaded = second.load(&key).await.unwrap().unwrap();
        let changed = second.update(&key, &note(&key), &loaded.revision).await;
        revision(changed.unwrap());
    }
    assert_eq!((count(&new).await, count(&old).await), (2, 0));
    // What is left of a mark is nothing.
    let key = key();
    revision(old.insert(&key, &nothing(&key).unwrap()).await.unwrap());
    revision(there.insert(&key, &note(&key)).await.unwrap());
}

#[tokio::test]
async fn what_the_new_store_has_no_room_for_stays() {
    let old = Arc::new(MemoryStore::new());
    let new = Arc::new(MemoryStore::new().with_limit(2000));
    let moving = Moving::new(new.clone(), old.clone());
    let there = sessions(old.clone());
    there
        .cookie_of(|it| it.insert("a", &"x".repeat(3000)))
        .await
        .unwrap();
    let page = sessions(old.clone())
        .carry(&moving, None, 10)
        .await
        .unwrap();
    assert!(
        matches!(page.failed[..], [Error::TooLarge { limit: 2000, .. }]),
        "{page:?}"
    );
    assert_eq!((count(&new).await, count(&old).await), (0, 1));
}

#[tokio::test]
async fn while_it_is_announced_nothing_moves() {
    let [new, old] = stores();
    let (key, announced) = (key(), Moving::announced(new.clone(), old.clone()));
    let first = revision(announced.insert(&key, &record(b"1")).await.unwrap());
    revision(announced.update(&key, &record(b"2"), &first).await.unwrap());
    assert_eq!(bytes_in(&*old, &key).await.unwrap(), &b"2"[..]);
    assert_eq!(bytes_in(&*new, &key).await, None);
    // Another process moves it.
    let moving = Moving::new(new.clone(), old.clone());
    let loaded = moving.load(&key).await.unwrap().unwrap();
    revision(
        moving
            .update(&key, &record(b"3"), &loaded.revision)
            .await
            .unwrap(),
    );
    let loaded = announced.load(&key).await.unwrap().unwrap();
    revision(
        announced
            .update(&key, &record(b"4"), &loaded.revision)
            .await
            .unwrap(),
    );
    assert_eq!(bytes_in(&*new, &key).await.unwrap(), &b"4"[..]);
}

fn sessions(store: Arc<dyn SessionStore>) -> Sessions {
    let cookie = CookieAttributes {
        name: "session".into(),
        secure: false,
        ..CookieAttributes::default()
    };
    Sessions::new(Settings::unsigned().with_cookie(cookie), store).unwrap()
}

async fn finish(request: &RequestSession) -> Option<String> {
    let headers = match request.finish() {
        Finish::Ready(headers) => headers,
        Finish::Pending(saving) => saving.await.unwrap(),
    };
    headers.set_cookie
}

#[tokio::test]
async fn a_session_that_ends_on_the_way_has_ended_in_both() {
    let [new, old] = stores();
    let cookie = sessions(old.clone())
        .cookie_of(|it| it.log_in("ada"))
        .await
        .unwrap();
    let moving = Arc::new(Moving::new(new.clone(), old.clone()));
    // A copy without the move, such as an interrupted move leaves.
    let all = sessions(old.clone()).all().unwrap();
    let copied = all
        .copy(&sessions(new.clone()), None, 10, false)
        .await
        .unwrap();
    assert_eq!(
        (copied.copied, copied.present, copied.failed.len()),
        (1, 0, 0)
    );
    let there = sessions(moving);
    let visit = there.begin_request();
    visit
        .session(&mut [cookie.as_bytes()].into_iter())
        .await
        .unwrap()
        .log_out();
    finish(&visit).await;
    for store in [new.clone(), old.clone()] {
        let visit = sessions(store).begin_request();
        let session = visit
            .session(&mut [cookie.as_bytes()].into_iter())
            .await
            .unwrap();
        assert_eq!(session.owner(), None);
    }
    assert_eq!(count(&old).await, 0);
}

#[tokio::test]
async fn carrying_moves_all_and_a_list_has_each_session_once() {
    let [new, old] = stores();
    let moving = Moving::new(new.clone(), old.clone());
    let there = sessions(Arc::new(moving.clone()));
    let mut cookies = Vec::new();
    for _ in 0..5 {
        cookies.push(
            sessions(old.clone())
                .cookie_of(|it| it.log_in("ada"))
                .await
                .unwrap(),
        );
    }
    cookies.push(there.cookie_of(|it| it.log_in("ada")).await.unwrap());
    assert_eq!(there.owner_sessions("ada").await.unwrap().len(), 6);
    let all = there.all().unwrap().page(None, 10).await.unwrap();
    assert_eq!((all.sessions.len(), all.next), (6, None));
    let first = there.carry(&moving, None, 2).await.unwrap();
    assert_eq!((first.copied, first.failed.len()), (2, 0));
    assert_eq!(there.owner_sessions("ada").await.unwrap().len(), 6);
    let rest = there
        .carry(&moving, first.next.as_ref(), 100)
        .await
        .unwrap();
    assert_eq!((rest.copied, rest.next), (3, None));
    assert_eq!(
        sessions(new.clone())
            .owner_sessions("ada")
            .await
            .unwrap()
            .len(),
        6
    );
    assert_eq!(sessions(new).log_out_everywhere("ada").await.unwrap(), 6);
    for cookie in cookies {
        let visit = there.begin_request();
        let session = visit
            .session(&mut [cookie.as_bytes()].into_iter())
            .await
            .unwrap();
        assert_eq!(session.owner(), None);
    }
}

#[tokio::test]
async fn a_list_has_what_moves_meanwhile_whichever_way() {
    for order in [false, true] {
        let [one, other] = stores();
        let mover = Moving::new(one.clone(), other.clone());
        let (new, old) = if order {
            (one, other.clone())
        } else {
            (other.clone(), one)
        };
        let listing = sessions(Arc::new(Moving::announced(new, old)));
        let there = sessions(other.clone());
        for _ in 0..3 {
            there.cookie_of(|it| it.log_in("ada")).await.unwrap();
        }
        let all = listing.all().unwrap();
        let (mut found, mut cursor) = (std::collections::HashSet::new(), None);
        for number in 0.. {
            let page = all.page(cursor.as_ref(), 1).await.unwrap();
            found.extend(page.sessions.iter().map(|it| *it.lineage()));
            cursor = page.next;
            if number == 0 {
                there.carry(&mover, None, 10).await.unwrap();
            }
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), 3);
    }
}

#[tokio::test]
async fn a_record_of_a_later_release_is_reported_and_stays() {
    let [new, old] = stores();
    let (key, moving) = (key(), Moving::new(new.clone(), old.clone()));
    // The version is the second byte.
    let mut later = [0; 80];
    later[..2].copy_from_slice(&[0xc1, 9]);
    let record = Record {
        bytes: Bytes::copy_from_slice(&later),
        ..record(b"")
    };
    revision(old.insert(&key, &record).await.unwrap());
    let sessions = Sessions::new(Settings::unsigned(), old.clone()).unwrap();
    let page = sessions.carry(&moving, None, 10).await.unwrap();
    assert_eq!((page.copied, page.present, page.expired), (0, 0, 0));
    assert!(matches!(page.failed[..], [crate::Error::LaterVersion]));
    assert_eq!(bytes_in(&*old, &key).await.unwrap(), later[..]);
}
