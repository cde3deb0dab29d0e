//! A record whose file was cut short, changed or swapped is unreadable, and never somebody's session.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use session_core::{Error, ExpiredSweep as _, OwnerIndex as _, SessionStore as _, StoreKey, Touch};

use crate::place::{Place, ada, files_below, key, of_ada, put, record};

const PAYLOAD: &[u8] = b"\x81\xa4user\xa3ada";

#[tokio::test]
async fn a_file_cut_at_any_byte_is_unreadable() {
    let place = Place::own();
    let (file, whole) = stored(&place, &key("it")).await;
    for length in (0..whole.len()).rev() {
        OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(length as u64)
            .unwrap();
        unreadable(&place, &format!("{length} bytes")).await;
    }
}

#[tokio::test]
async fn a_file_with_any_bit_flipped_is_unreadable() {
    let place = Place::own();
    let (file, whole) = stored(&place, &key("it")).await;
    for bit in 0..whole.len() * 8 {
        let byte = whole[bit / 8] ^ 1 << (bit % 8);
        let open = OpenOptions::new().write(true).open(&file).unwrap();
        open.write_all_at(&[byte], bit as u64 / 8).unwrap();
        unreadable(&place, &format!("bit {bit}")).await;
        open.write_all_at(&whole[bit / 8..=bit / 8], bit as u64 / 8)
            .unwrap();
    }
    let found = place.store().load(&key("it")).await.unwrap().unwrap();
    assert_eq!(found.payload, PAYLOAD);
}

#[tokio::test]
async fn a_file_put_in_the_place_of_another_opens_nobodys_session() {
    let place = Place::own();
    let (ada, of_ada) = stored(&place, &key("ada")).await;
    let (bob, of_bob) = stored(&place, &key("bob")).await;
    fs::write(&ada, of_bob).unwrap();
    fs::write(&bob, of_ada).unwrap();
    for name in ["ada", "bob"] {
        let loaded = place.store().load(&key(name)).await;
        assert!(
            matches!(loaded, Err(Error::Corrupt { .. })),
            "{name}: {loaded:?}"
        );
    }
}

#[tokio::test]
async fn a_damaged_record_can_be_replaced_ended_and_swept() {
    let place = Place::own();
    let (store, key) = (place.store(), key("it"));
    let (file, whole) = stored(&place, &key).await;
    let cut = || fs::write(&file, &whole[..40]).unwrap();

    cut();
    put(&store, &key, &record("new")).await;
    assert_eq!(store.load(&key).await.unwrap().unwrap().payload, b"new");
    cut();
    store.delete(&key).await.unwrap();
    assert!(!file.exists());
    cut();
    assert_eq!(store.sweep(10).await.unwrap(), 1);
    assert!(!file.exists());
}

#[tokio::test]
async fn what_a_later_version_wrote_is_kept() {
    let place = Place::own();
    let (store, key) = (place.store(), key("it"));
    let (file, mut whole) = stored(&place, &key).await;
    whole[8] = 2;
    fs::write(&file, &whole).unwrap();
    unreadable(&place, "a later version").await;
    let refused = store.insert(&key, &record("new")).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    store.delete(&key).await.unwrap();
    assert_eq!(store.sweep(10).await.unwrap(), 0);
    assert!(fs::read(&file).unwrap() == whole, "it was changed");
}

#[tokio::test]
async fn a_damaged_owner_entry_never_hides_a_live_session() {
    let place = Place::own();
    put(&place.store(), &key("it"), &of_ada(PAYLOAD)).await;
    let entries = files_below(&place.directory().join("owners"));
    let [entry] = &entries[..] else {
        panic!("{entries:?}");
    };
    let whole = fs::read(entry).unwrap();
    fs::write(entry, &whole[..whole.len() - 1]).unwrap();
    let listed = place.store().owned_by(&ada()).await;
    assert!(matches!(listed, Err(Error::Corrupt { .. })), "{listed:?}");

    let soon = SystemTime::now() + Duration::from_millis(1);
    assert_eq!(
        place.store().touch(&key("it"), soon).await.unwrap(),
        Touch::Moved
    );
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(place.store().owned_by(&ada()).await.unwrap().is_empty());
    assert!(
        !entry.exists(),
        "the entry of an absent record stays for ever"
    );
}

async fn stored(place: &Place, key: &StoreKey) -> (PathBuf, Vec<u8>) {
    let before = files_below(place.directory());
    put(&place.store(), key, &record(PAYLOAD)).await;
    let mut new = files_below(place.directory());
    new.retain(|file| !before.contains(file));
    let file = new.pop().expect("a record is a file");
    let bytes = fs::read(&file).unwrap();
    (file, bytes)
}

/// Loads say so; writes on it are refused, as there is no record that they could be meant for.
async fn unreadable(place: &Place, at: &str) {
    let (store, key) = (place.store(), key("it"));
    let loaded = store.load(&key).await;
    assert!(
        matches!(loaded, Err(Error::Corrupt { .. })),
        "{at}: {loaded:?}"
    );
    let far = SystemTime::now() + Duration::from_hours(1);
    assert_eq!(
        store.touch(&key, far).await.unwrap(),
        Touch::Refused,
        "{at}"
    );
    let update = store.update(&key, &record("new"), &1.into()).await.unwrap();
    assert!(!update.is_stored(), "{at}");
}
