//! The promises about keys.

use super::{
    Fixture,
    answers::{absent, done, found, stored},
    time::record,
};
use crate::{
    id::SessionId,
    key::{KeyPrefix, StoreKey},
    store::SessionStore,
};

/// One id under two prefixes is two keys, even if one prefix begins with the other.
pub async fn two_prefixes_do_not_see_each_other<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let id = SessionId::random(SessionId::DEFAULT_BYTES);
    let longer = KeyPrefix::new(&format!("{}x", fixture.prefix().as_str()))
        .expect("the prefix of a fixture is short");
    let (one, other) = (fixture.prefix().hashed_key(&id), longer.hashed_key(&id));
    stored(store.insert(&one, &record(b"one")).await);
    absent(store.load(&other).await);
    stored(store.insert(&other, &record(b"other")).await);
    found(store.load(&one).await, b"one");
    done(store.delete(&other).await);
    found(store.load(&one).await, b"one");
}

/// Keys that differ in case, in the last character or in length are different keys. No key is a
/// pattern.
pub async fn keys_are_compared_byte_by_byte<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let store = fixture.store();
    let base = format!("{}aBc", fixture.prefix().as_str());
    let neighbours = [
        "", "d", "D", "dd", "dD", "d.", "d_", "d%", "d*", "d?", "%", "_", "*", "?", "[d]", "d\\",
        "d/", "d~",
    ]
    .map(|end| StoreKey::from_stored(format!("{base}{end}")));
    let swapped: String = base
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    let swapped = StoreKey::from_stored(swapped);
    stored(store.insert(&neighbours[1], &record(b"d")).await);
    for other in neighbours.iter().filter(|key| **key != neighbours[1]) {
        absent(store.load(other).await);
    }
    for key in neighbours.iter().skip(2).chain([&neighbours[0], &swapped]) {
        absent(store.load(key).await);
        stored(store.insert(key, &record(key.as_str().as_bytes())).await);
    }
    found(store.load(&neighbours[1]).await, b"d");
    done(store.delete(&neighbours[1]).await);
    for key in neighbours.iter().skip(2).chain([&neighbours[0], &swapped]) {
        found(store.load(key).await, key.as_str().as_bytes());
    }
}

/// A key may contain every graphic ASCII character. Characters of paths, quotes and commands have
/// no meaning.
pub async fn every_graphic_character_is_legal_in_a_key<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let all: String = ('!'..='~').collect();
    for text in [
        &all, "../../..", "/", "\\", "'\";--", "{}", "$1", "%00", "~",
    ] {
        round_trip(
            fixture,
            StoreKey::from_stored(format!("{}{text}", fixture.prefix().as_str())),
        )
        .await;
    }
}

/// A key of 250 characters, the longest possible, works like any other.
pub async fn the_longest_key_works<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let start = fixture.prefix().as_str();
    let filler = "k".repeat(249 - start.len());
    round_trip(fixture, StoreKey::from_stored(format!("{start}{filler}a"))).await;
    let store = fixture.store();
    let [one, other] = ["a", "b"].map(|end| StoreKey::from_stored(format!("{start}{filler}{end}")));
    stored(store.insert(&one, &record(b"one")).await);
    absent(store.load(&other).await);
}

async fn round_trip<S: SessionStore + ?Sized>(fixture: &Fixture<S>, key: StoreKey) {
    let store = fixture.store();
    let revision = stored(store.insert(&key, &record(b"one")).await);
    found(store.load(&key).await, b"one");
    stored(store.update(&key, &record(b"two"), &revision).await);
    found(store.load(&key).await, b"two");
    done(store.delete(&key).await);
    absent(store.load(&key).await);
}
