//! A record whose file was truncated, changed or swapped is unreadable, and never another session.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

use session_core::{Error, OwnerIndex as _, Record, Revision, SessionStore as _, StoreKey};
use session_tests::sweep_up_to;

use crate::test_directory::{
    TestDirectory, ada, files_below, insert_new, key, keys_of_ada, of_ada, record,
};

const PAYLOAD: &[u8] = b"\x81\xa4user\xa3ada";

#[tokio::test]
async fn a_file_truncated_at_any_byte_is_unreadable() {
    let dir = TestDirectory::new();
    let (file, whole) = stored(&dir, &key("it"), record(PAYLOAD)).await;
    for length in (0..whole.len()).rev() {
        OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(length as u64)
            .unwrap();
        assert_unreadable(&dir, &format!("{length} bytes")).await;
    }
}

#[tokio::test]
async fn a_file_with_any_bit_flipped_is_unreadable() {
    let dir = TestDirectory::new();
    let (file, whole) = stored(&dir, &key("it"), record(PAYLOAD)).await;
    for bit in 0..whole.len() * 8 {
        let byte = whole[bit / 8] ^ 1 << (bit % 8);
        let open = OpenOptions::new().write(true).open(&file).unwrap();
        open.write_all_at(&[byte], bit as u64 / 8).unwrap();
        assert_unreadable(&dir, &format!("bit {bit}")).await;
        open.write_all_at(&whole[bit / 8..=bit / 8], bit as u64 / 8)
            .unwrap();
    }
    let found = dir.store().load(&key("it")).await.unwrap().unwrap();
    assert_eq!(found.bytes, PAYLOAD);
}

#[tokio::test]
async fn a_file_swapped_with_another_is_unreadable() {
    let dir = TestDirectory::new();
    let (ada, of_ada) = stored(&dir, &key("ada"), record(PAYLOAD)).await;
    let (bob, of_bob) = stored(&dir, &key("bob"), record(PAYLOAD)).await;
    fs::write(&ada, of_bob).unwrap();
    fs::write(&bob, of_ada).unwrap();
    for name in ["ada", "bob"] {
        let loaded = dir.store().load(&key(name)).await;
        assert!(
            matches!(loaded, Err(Error::Corrupt { .. })),
            "{name}: {loaded:?}"
        );
    }
}

#[tokio::test]
async fn a_damaged_record_refuses_inserts_and_can_be_deleted_and_swept() {
    let dir = TestDirectory::new();
    let (store, key) = (dir.store(), key("it"));
    let (file, whole) = stored(&dir, &key, record(PAYLOAD)).await;
    let truncate = || fs::write(&file, &whole[..39]).unwrap();

    truncate();
    let insert = store.insert(&key, &record("new")).await.unwrap();
    assert!(!insert.is_stored(), "the damaged file still has the name");
    store.delete(&key).await.unwrap();
    assert!(!file.exists());
    truncate();
    assert_eq!(sweep_up_to(&store, 10).await, 1);
    assert!(!file.exists());
}

/// After a power loss, files that were not flushed are empty, or end after a few bytes. They hold
/// nothing that could be somebody else's.
#[tokio::test]
async fn an_empty_file_with_a_records_name_is_a_damaged_record() {
    for length in 0..8 {
        let dir = TestDirectory::new();
        let (store, lost) = (dir.store(), key("lost"));
        let (file, whole) = stored(&dir, &lost, of_ada(PAYLOAD)).await;
        insert_new(&store, &key("intact"), &of_ada(PAYLOAD)).await;
        let truncate = || fs::write(&file, &whole[..length]).unwrap();

        truncate();
        assert!(keys_of_ada(&store).await == [key("intact")]);
        assert_eq!(sweep_up_to(&store, 10).await, 1, "{length} bytes");
        assert!(!file.exists());
        truncate();
        store.delete(&lost).await.unwrap();
        assert!(!file.exists(), "{length} bytes");
        assert!(store.load(&key("intact")).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_record_of_a_later_version_is_kept() {
    let dir = TestDirectory::new();
    let (store, key) = (dir.store(), key("it"));
    let (file, mut whole) = stored(&dir, &key, of_ada(PAYLOAD)).await;
    whole[8] = 2;
    fs::write(&file, &whole).unwrap();
    assert_unreadable(&dir, "a later version").await;
    let insert = store.insert(&key, &record("new")).await.unwrap();
    assert!(!insert.is_stored(), "the damaged file still has the name");
    // A list that left it out would let it survive its owner's log-out.
    let listed = store.owned_by(&ada(), None, 10).await;
    assert!(matches!(listed, Err(Error::Corrupt { .. })), "{listed:?}");
    store.delete(&key).await.unwrap();
    assert_eq!(sweep_up_to(&store, 10).await, 0);
    assert!(fs::read(&file).unwrap() == whole, "it was changed");
}

#[tokio::test]
async fn a_damaged_record_does_not_hide_its_owners_other_records() {
    let dir = TestDirectory::new();
    let (file, whole) = stored(&dir, &key("damaged"), of_ada(vec![7; 3000])).await;
    insert_new(&dir.store(), &key("intact"), &of_ada(PAYLOAD)).await;
    for length in 0..60 {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(
            keys_of_ada(&dir.store()).await == [key("intact")],
            "{length} bytes"
        );
    }
}

/// A copy keeps names and bytes, but often not modes and times.
#[tokio::test]
async fn the_index_survives_a_copy() {
    let (from, to) = (TestDirectory::new(), TestDirectory::new());
    insert_new(&from.store(), &key("it"), &of_ada(PAYLOAD)).await;
    to.store().check().unwrap();
    for file in files_below(from.path()) {
        let copy = to.path().join(file.strip_prefix(from.path()).unwrap());
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700)
            .create(copy.parent().unwrap())
            .unwrap();
        fs::write(copy, fs::read(file).unwrap()).unwrap();
    }
    assert_eq!(sweep_up_to(&to.store(), 10).await, 0);
    assert!(keys_of_ada(&to.store()).await == [key("it")]);
}

async fn stored(dir: &TestDirectory, key: &StoreKey, record: Record) -> (PathBuf, Vec<u8>) {
    let before = files_below(dir.path());
    insert_new(&dir.store(), key, &record).await;
    let mut new = files_below(dir.path());
    new.retain(|file| !before.contains(file) && fs::metadata(file).unwrap().len() > 0);
    let file = new.pop().expect("a record is a file");
    let bytes = fs::read(&file).unwrap();
    (file, bytes)
}

/// A load is an error and an update is refused, because the record cannot be compared.
async fn assert_unreadable(dir: &TestDirectory, at: &str) {
    let (store, key) = (dir.store(), key("it"));
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
