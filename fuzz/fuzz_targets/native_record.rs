//! Any record of the native form is a session, no session, or an error. The content of a session
//! survives its refresh, a change of something else and its renewal; after its end it is gone.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use session_core::{
    Bytes, IndexEntry, KeyPrefix, MemoryStore, Record, SessionId, SessionStore, Settings, StoreKey,
};
use session_fuzz::{Bench, NOW, Snapshot, limited, run};

/// Sorts after the ids of most renewals and before some.
const ID: &str = "fuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzzfuw";
const OWNER: &str = "ada";
/// Where the header's bytes are that tie it to its key.
const BINDING: std::ops::Range<usize> = 16..32;

fn key() -> StoreKey {
    let id = SessionId::from_native(ID, SessionId::DEFAULT_BYTES).expect("an id");
    KeyPrefix::default().hashed_key(&id)
}

/// What ties a record to `key`.
fn binding(key: &StoreKey) -> Vec<u8> {
    let key = key.as_str();
    let digits = &key[key.len() - 32..];
    (0..32)
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if let Some(bound) = bytes.get_mut(BINDING) {
        bound.copy_from_slice(&binding(&key()));
    }
    limited(|| {
        alone(&bytes);
        listed(&bytes);
    });
});

/// Sessions in memory, with `bytes` under [`ID`].
fn planted(bytes: &[u8]) -> (MemoryStore, Bench) {
    let store = MemoryStore::new();
    let bench = Bench::in_memory(Settings::unsigned(), &store);
    let later = UNIX_EPOCH + Duration::from_secs(NOW + 3600);
    let record = Record {
        bytes: Bytes::copy_from_slice(bytes),
        expires_at: later,
        entry: Some(IndexEntry {
            provider_session: None,
            owner: KeyPrefix::default().owner_key(OWNER),
            expires_at: later,
        }),
    };
    let write = run(store.insert(&key(), &record)).expect("memory");
    assert!(write.is_stored());
    (store, bench)
}

fn alone(bytes: &[u8]) {
    let (store, bench) = planted(bytes);
    let Ok((visit, session)) = bench.open_id(ID) else {
        return;
    };
    let before = Snapshot::of(&session);
    session.extend();
    if session.is_new() || bench.finish(&visit).is_err() {
        return;
    }
    let stored = run(store.load(&key())).expect("memory").expect("a record");
    assert_eq!(payload(&stored.bytes), payload(bytes));

    let (visit, session) = bench.open_id(ID).expect("it was stored");
    assert_eq!(Snapshot::of(&session), before);
    session.insert("added", &1).expect("a number");
    if bench.finish(&visit).is_err() {
        return;
    }
    let (visit, session) = bench.open_id(ID).expect("it was stored");
    assert_eq!(session.get("added").expect("a number"), Some(1));
    match before.values.iter().find(|(key, _)| key == "added") {
        Some((key, value)) => session
            .insert_value(key, value.clone())
            .expect("its own value"),
        None => assert!(session.remove("added").is_some()),
    }
    assert_eq!(Snapshot::of(&session), before);
    session.renew();
    let head = bench.finish(&visit).expect("it was stored before");
    let cookie = Bench::cookie(&head).expect("a renewed session has a cookie");
    let (visit, session) = bench.open(&[cookie.as_bytes()]).expect("it was stored");
    assert_eq!(Snapshot::of(&session), before);
    session.log_out();
    let _ = bench.finish(&visit).expect("it can be ended");
    for cookie in [cookie, format!("__Host-session={ID}")] {
        let (_, session) = bench.open(&[cookie.as_bytes()]).expect("a tombstone");
        assert!(session.is_new());
    }
}

fn listed(bytes: &[u8]) {
    let (_, bench) = planted(bytes);
    let _ = run(bench.sessions.owner_sessions(OWNER));
    if run(bench.sessions.log_out_everywhere(OWNER)).is_ok() {
        let left = run(bench.sessions.owner_sessions(OWNER)).expect("memory");
        assert!(left.is_empty());
    }
}

fn payload(record: &[u8]) -> &[u8] {
    &record[usize::from(u16::from_be_bytes([record[4], record[5]]))..]
}
