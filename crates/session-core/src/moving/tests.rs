use std::time::Duration;

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
    assert_eq!(bytes_in(&back, &key).await.unwrap(), &b"2"[..]);
    assert_eq!(bytes_in(&*old, &key).await.unwrap(), &b"2"[..]);

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
    assert_eq!(
        old.scan()
            .unwrap()
            .records(&KeyPrefix::default(), None, 10)
            .await
            .unwrap()
            .records
            .len(),
        0
    );
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
