use super::{
    Fixture,
    answers::{found, stored, too_large},
    time::record,
};
use crate::store::SessionStore;

/// All 256 byte values come back as they were stored, whatever they are next to.
pub async fn every_byte_value_survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let ascending: Vec<u8> = (0..=u8::MAX).collect();
    let descending: Vec<u8> = (0..=u8::MAX).rev().collect();
    comes_back(fixture, &ascending).await;
    comes_back(fixture, &descending).await;
    for edge in [&b"\0"[..], b"\r\n", b"END\r\n", b" ", b"'", b"\xff\xfe"] {
        comes_back(fixture, edge).await;
    }
}

/// No bytes at all are a payload too.
pub async fn an_empty_payload_survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    comes_back(fixture, b"").await;
}

/// A payload of exactly the store's limit comes back whole.
pub async fn the_largest_payload_survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    comes_back(fixture, &noise(fixture.limit())).await;
}

/// A payload over the limit is refused by insert and by update, and what was stored before is intact.
pub async fn a_payload_over_the_limit_leaves_the_old_one<S: SessionStore + ?Sized>(
    fixture: &Fixture<S>,
) {
    let (store, key) = (fixture.store(), fixture.key());
    let limit = fixture.limit();
    let over = record(&noise(limit + 1));
    too_large(store.insert(&key, &over).await, limit);
    let revision = stored(store.insert(&key, &record(b"old")).await);
    too_large(store.update(&key, &over, &revision).await, limit);
    found(store.load(&key).await, b"old");
    stored(store.update(&key, &record(b"new"), &revision).await);
    found(store.load(&key).await, b"new");
}

async fn comes_back<S: SessionStore + ?Sized>(fixture: &Fixture<S>, payload: &[u8]) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(payload)).await);
    let first = found(store.load(&key).await, payload);
    let other = stored(store.update(&key, &record(b"other"), &first.revision).await);
    stored(store.update(&key, &record(payload), &other).await);
    found(store.load(&key).await, payload);
}

/// Bytes that no compression makes smaller and no shift leaves unnoticed.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}
