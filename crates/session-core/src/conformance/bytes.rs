//! The promises about the bytes of a record.

use super::{
    Fixture,
    answers::{found, stored},
    time::record,
};
use crate::store::SessionStore;

/// All 256 byte values are loaded as they were stored, whatever their neighbours are.
pub async fn every_byte_value_survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    let ascending: Vec<u8> = (0..=u8::MAX).collect();
    let descending: Vec<u8> = (0..=u8::MAX).rev().collect();
    comes_back(fixture, &ascending).await;
    comes_back(fixture, &descending).await;
    for edge in [&b"\0"[..], b"\r\n", b"END\r\n", b" ", b"'", b"\xff\xfe"] {
        comes_back(fixture, edge).await;
    }
}

/// A record may be empty.
pub async fn an_empty_record_survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    comes_back(fixture, b"").await;
}

/// A record of exactly the store's limit is loaded whole.
pub async fn a_record_of_the_limit_survives<S: SessionStore + ?Sized>(fixture: &Fixture<S>) {
    comes_back(fixture, &noise(fixture.store().limit())).await;
}

async fn comes_back<S: SessionStore + ?Sized>(fixture: &Fixture<S>, bytes: &[u8]) {
    let (store, key) = (fixture.store(), fixture.key());
    stored(store.insert(&key, &record(bytes)).await);
    let first = found(store.load(&key).await, bytes);
    let other = stored(store.update(&key, &record(b"other"), &first.revision).await);
    stored(store.update(&key, &record(bytes), &other).await);
    found(store.load(&key).await, bytes);
}

/// Bytes that cannot be compressed, and in which every shift is noticed.
pub(super) fn noise(len: usize) -> Vec<u8> {
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
