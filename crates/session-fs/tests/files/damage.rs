//! A record whose file was cut short, changed or swapped is unreadable, and never somebody's session.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

use session_core::{
    Error, ExpiredSweep as _, OwnerIndex as _, Record, Revision, SessionStore as _, StoreKey,
};

use crate::place::{Place, ada, files_below, key, keys_of_ada, of_ada, put, record};

const PAYLOAD: &[u8] = b"\x81\xa4user\xa3ada";

#[tokio::test]
async fn a_file_cut_at_any_byte_is_unreadable() {
    let place = Place::own();
    let (file, whole) = stored(&place, &key("it"), record(PAYLOAD)).await;
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
    let (file, whole) = stored(&place, &key("it"), record(PAYLOAD)).await;
    for bit in 0..whole.len() * 8 {
        let byte = whole[bit / 8] ^ 1 << (bit % 8);
        let open = OpenOptions::new().write(true).open(&file).unwrap();
        open.write_all_at(&[byte], bit as u64 / 8).unwrap();
        unreadable(&place, &format!("bit {bit}")).await;
        open.write_all_at(&whole[bit / 8..=bit / 8], bit as u64 / 8)
            .unwrap();
    }
    let found = place.store().load(&key("it")).await.unwrap().unwrap();
    assert_eq!(found.bytes, PAYLOAD);
}

#[tokio::test]
async fn a_file_put_in_the_place_of_another_opens_nobodys_session() {
    let place = Place::own();
    let (ada, of_ada) = stored(&place, &key("ada"), record(PAYLOAD)).await;
    let (bob, of_bob) = stored(&place, &key("bob"), record(PAYLOAD)).await;
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
async fn a_damaged_record_is_no_free_place_and_can_be_removed_and_swept() {
    let place = Place::own();
    let (store, key) = (place.store(), key("it"));
    let (file, whole) = stored(&place, &key, record(PAYLOAD)).await;
    let cut = || fs::write(&file, &whole[..39]).unwrap();

    cut();
    let insert = store.insert(&key, &record("new")).await.unwrap();
    assert!(!insert.is_stored(), "something is there");
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
    let (file, mut whole) = stored(&place, &key, of_ada(PAYLOAD)).await;
    whole[8] = 2;
    fs::write(&file, &whole).unwrap();
    unreadable(&place, "a later version").await;
    let insert = store.insert(&key, &record("new")).await.unwrap();
    assert!(!insert.is_stored(), "something is there");
    // To leave it out would let it survive its owner's log-out.
    let listed = store.owned_by(&ada(), None, 10).await;
    assert!(matches!(listed, Err(Error::Corrupt { .. })), "{listed:?}");
    store.delete(&key).await.unwrap();
    assert_eq!(store.sweep(10).await.unwrap(), 0);
    assert!(fs::read(&file).unwrap() == whole, "it was changed");
}

#[tokio::test]
async fn a_damaged_record_does_not_hide_its_owners_others() {
    let place = Place::own();
    let (file, whole) = stored(&place, &key("damaged"), of_ada(vec![7; 3000])).await;
    put(&place.store(), &key("intact"), &of_ada(PAYLOAD)).await;
    for length in 0..60 {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(
            keys_of_ada(&place.store()).await == [key("intact")],
            "{length} bytes"
        );
    }
}

/// A copy keeps names and bytes, and often neither modes nor times.
#[tokio::test]
async fn the_index_survives_a_copy() {
    let (from, to) = (Place::own(), Place::own());
    put(&from.store(), &key("it"), &of_ada(PAYLOAD)).await;
    to.store().check().unwrap();
    for file in files_below(from.directory()) {
        let copy = to
            .directory()
            .join(file.strip_prefix(from.directory()).unwrap());
        let mut made = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(made.recursive(true), 0o700)
            .create(copy.parent().unwrap())
            .unwrap();
        fs::write(copy, fs::read(file).unwrap()).unwrap();
    }
    assert_eq!(to.store().sweep(10).await.unwrap(), 0);
    assert!(keys_of_ada(&to.store()).await == [key("it")]);
}

async fn stored(place: &Place, key: &StoreKey, record: Record) -> (PathBuf, Vec<u8>) {
    let before = files_below(place.directory());
    put(&place.store(), key, &record).await;
    let mut new = files_below(place.directory());
    new.retain(|file| !before.contains(file) && fs::metadata(file).unwrap().len() > 0);
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
    let update = store
        .update(&key, &record("new"), &Revision::new(PAYLOAD))
        .await
        .unwrap();
    assert!(!update.is_stored(), "{at}");
}
