//! Keys, owners and payloads are bytes: no collation and no encoding changes them.

use session_core::{OwnerKey, SessionStore, StoreKey};
use session_sql::{SqlStore, SqliteStore};

use crate::{
    databases::{TestDatabase, each_database, unique_table},
    records::{insert, key, listed, load, owned, record},
};

each_database!(
    a_key_in_another_case_or_with_padding_is_not_found,
    an_owner_in_another_case_or_with_padding_is_another_owner,
    payloads_of_every_size_are_stored_unchanged
);

/// Texts that a collation might compare as equal to `text`.
fn similar(text: &str) -> Vec<String> {
    let swapped = text.chars().map(|c| match c {
        'a'..='z' => c.to_ascii_uppercase(),
        _ => c.to_ascii_lowercase(),
    });
    vec![
        swapped.collect(),
        text.to_ascii_uppercase(),
        format!("{text} "),
        format!(" {text}"),
        format!("{text}\0"),
        format!("{text}\t"),
        text[..text.len() - 1].to_owned(),
        text.replace('a', "ä"),
        text.replace('a', "_"),
        text.replace('a', "%"),
    ]
}

async fn a_key_in_another_case_or_with_padding_is_not_found<D: TestDatabase>() {
    let database = D::open().await;
    let store = database.migrated(&unique_table()).await;
    let text = "session:abcABC-0123";
    let key = StoreKey::from_stored(text);
    let revision = insert(&store, &key, &record(b"mine")).await;
    for other_text in similar(text) {
        let other = StoreKey::from_stored(other_text.clone());
        assert_eq!(load(&store, &other).await, None, "{other_text:?}");
        let write = store.update(&other, &record(b"theirs"), &revision).await;
        assert!(!write.unwrap().is_stored(), "{other_text:?}");
        store.delete(&other).await.unwrap();
        insert(&store, &other, &record(b"theirs")).await;
    }
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"mine"[..]);
}

async fn an_owner_in_another_case_or_with_padding_is_another_owner<D: TestDatabase>() {
    let database = D::open().await;
    let store = database.migrated(&unique_table()).await;
    let text = "session:owner:abcABC";
    let of = |owner: &str| owned(&OwnerKey::from_stored(owner), record(b"x"));
    let mine = key();
    insert(&store, &mine, &of(text)).await;
    for other_text in similar(text) {
        insert(&store, &key(), &of(&other_text)).await;
    }
    assert_eq!(listed(&store, &OwnerKey::from_stored(text)).await, [mine]);
}

async fn payloads_of_every_size_are_stored_unchanged<D: TestDatabase>() {
    let database = D::open().await;
    let store = database.migrated(&unique_table()).await;
    for size in [
        65_535,
        65_536,
        65_537,
        1 << 20,
        SqlStore::<D>::DEFAULT_LIMIT,
    ] {
        let key = key();
        let payload: Vec<u8> = (0..=u8::MAX).cycle().take(size).collect();
        insert(&store, &key, &record(&payload)).await;
        let loaded = load(&store, &key).await.expect("the record exists");
        assert!(loaded.bytes == payload, "{size} bytes came back changed");
    }
}

#[tokio::test]
async fn the_limit_is_the_configured_one_up_to_what_a_statement_holds() {
    let store = SqliteStore::connect("sqlite::memory:").unwrap();
    assert_eq!(store.limit(), SqliteStore::DEFAULT_LIMIT);
    assert_eq!(store.clone().with_limit(3).limit(), 3);
    assert_eq!(store.with_limit(usize::MAX).limit(), 999_934_464);
}
