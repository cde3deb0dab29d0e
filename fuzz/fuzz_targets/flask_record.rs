//! Any record of Flask's form is a session, no session, or an error. Its values survive its refresh
//! and a change of another value.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use session_core::{
    Bytes, Format, KeyPrefix, MemoryStore, Record, SessionId, SessionStore, Settings,
};
use session_fuzz::{Bench, FORMATS, NOW, Snapshot, limited, run};

const ID: &str = "fuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzzfuw";

fuzz_target!(|bytes: &[u8]| {
    limited(|| {
        for format in FORMATS {
            check(bytes, format);
        }
    });
});

fn check(bytes: &[u8], format: Format) {
    let store = MemoryStore::new();
    let bench = Bench::in_memory(Settings::flask().with_format(format), &store);
    let id = SessionId::from_flask(ID).expect("an id");
    let key = KeyPrefix::default().plain_key(&id);
    let record = Record {
        bytes: Bytes::copy_from_slice(bytes),
        expires_at: UNIX_EPOCH + Duration::from_secs(NOW + 3600),
        entry: None,
    };
    let write = run(store.insert(&key, &record)).expect("memory");
    assert!(write.is_stored());
    let Ok((visit, session)) = bench.open_id(ID) else {
        return;
    };
    if session.is_new() {
        return;
    }
    let before = Snapshot::of(&session);
    let _ = bench.finish(&visit).expect("a refresh fails no request");
    let stored = run(store.load(&key)).expect("memory").expect("a record");
    assert_eq!(stored.bytes, bytes);

    let (visit, session) = bench.open_id(ID).expect("it was stored");
    assert_eq!(Snapshot::of(&session), before);
    session.insert("added", &1).expect("a number");
    if bench.finish(&visit).is_err() {
        return;
    }
    let (_, session) = bench.open_id(ID).expect("it was stored");
    assert_eq!(session.get("added").expect("a number"), Some(1));
    let others = before.values.iter().filter(|(key, _)| key != "added");
    for (key, value) in others {
        let now = session.value(key).expect("it is still there");
        // Another format tells some values otherwise.
        assert!(value.format() != format || now == *value, "{key}");
    }
}
