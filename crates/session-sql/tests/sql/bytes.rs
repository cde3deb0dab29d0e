use session_core::{OwnerKey, SessionStore, StoreKey};
use session_sql::{SqlStore, SqliteStore};

use crate::{
    databases::{Place, each_database, own_table},
    records::{insert, key, listed, load, owned, record},
};

each_database!(
    keys_with_swapped_case_or_padding_are_not_found,
    owners_with_swapped_case_or_padding_are_others,
    payloads_around_every_old_limit_survive
);

/// What a collation might take for `text`.
fn likenesses(text: &str) -> Vec<String> {
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

async fn keys_with_swapped_case_or_padding_are_not_found<D: Place>() {
    let place = D::place().await;
    let store = place.migrated(&own_table()).await;
    let text = "session:abcABC-0123";
    let key = StoreKey::from_stored(text);
    let revision = insert(&store, &key, &record(b"mine")).await;
    for likeness in likenesses(text) {
        let other = StoreKey::from_stored(likeness.clone());
        assert_eq!(load(&store, &other).await, None, "{likeness:?}");
        let write = store.update(&other, &record(b"theirs"), &revision).await;
        assert!(!write.unwrap().is_stored(), "{likeness:?}");
        store.delete(&other).await.unwrap();
        insert(&store, &other, &record(b"theirs")).await;
    }
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"mine"[..]);
}

async fn owners_with_swapped_case_or_padding_are_others<D: Place>() {
    let place = D::place().await;
    let store = place.migrated(&own_table()).await;
    let text = "session:owner:abcABC";
    let of = |owner: &str| owned(&OwnerKey::from_stored(owner), record(b"x"));
    let mine = key();
    insert(&store, &mine, &of(text)).await;
    for likeness in likenesses(text) {
        insert(&store, &key(), &of(&likeness)).await;
    }
    assert_eq!(listed(&store, &OwnerKey::from_stored(text)).await, [mine]);
}

async fn payloads_around_every_old_limit_survive<D: Place>() {
    let place = D::place().await;
    let store = place.migrated(&own_table()).await;
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
        let loaded = load(&store, &key).await.expect("it is there");
        assert!(loaded.bytes == payload, "{size} bytes came back changed");
    }
}

#[tokio::test]
async fn the_limit_is_as_told_and_never_more_than_a_statement_holds() {
    let store = SqliteStore::connect("sqlite::memory:").unwrap();
    assert_eq!(store.limit(), SqliteStore::DEFAULT_LIMIT);
    assert_eq!(store.clone().with_limit(3).limit(), 3);
    assert_eq!(store.with_limit(usize::MAX).limit(), 999_934_464);
}
