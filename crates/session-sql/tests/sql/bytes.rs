use session_core::{Error, OwnerIndex, OwnerKey, Record, SessionStore, StoreKey};
use session_sql::SqlStore;

use crate::{
    databases::{Place, each_database, own_table},
    records::{insert, key, load, record},
};

each_database!(
    keys_with_swapped_case_or_padding_are_not_found,
    owners_with_swapped_case_or_padding_are_others,
    payloads_around_every_old_limit_survive,
    a_payload_over_the_limit_is_refused_unsent
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
    assert_eq!(load(&store, &key).await.unwrap().payload, b"mine");
}

async fn owners_with_swapped_case_or_padding_are_others<D: Place>() {
    let place = D::place().await;
    let store = place.migrated(&own_table()).await;
    let text = "session:owner:abcABC";
    let owned = |owner: &str| Record {
        owner: Some(OwnerKey::from_stored(owner)),
        ..record(b"x")
    };
    let mine = key();
    insert(&store, &mine, &owned(text)).await;
    for likeness in likenesses(text) {
        insert(&store, &key(), &owned(&likeness)).await;
    }
    let listed = store.owned_by(&OwnerKey::from_stored(text)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].0, mine);
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
        assert!(loaded.payload == payload, "{size} bytes came back changed");
    }
}

async fn a_payload_over_the_limit_is_refused_unsent<D: Place>() {
    let place = D::place().await;
    let limit = SqlStore::<D>::DEFAULT_LIMIT;
    let store = place.migrated(&own_table()).await;
    let key = key();
    let revision = insert(&store, &key, &record(b"old")).await;
    for size in [limit + 1, (16 << 20) - 1, 16 << 20, (16 << 20) + 1] {
        let large = record(&vec![0; size]);
        for write in [
            store.update(&key, &large, &revision).await,
            store.insert(&key, &large).await,
        ] {
            assert!(
                matches!(write, Err(Error::TooLarge { size: s, limit: l }) if (s, l) == (size, limit))
            );
        }
    }
    assert_eq!(load(&store, &key).await.unwrap().payload, b"old");
    let small = store.with_limit(3);
    let write = small.insert(&key, &record(b"four")).await;
    assert!(matches!(write, Err(Error::TooLarge { size: 4, limit: 3 })));
}
