//! Any file of cachelib's layout is read or refused. A session that is written there is read back.

#![no_main]

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use libfuzzer_sys::fuzz_target;
use session_core::{
    Bytes, Format, KeyPrefix, Payload, Record, SessionId, SessionStore, Settings, StoreKey, Write,
};
use session_fs::CachelibStore;
use session_fuzz::{Bench, NOW, limited, run};
use tempfile::TempDir;

const ID: &str = "fuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzzfuw";

struct Case {
    bench: Bench,
    store: CachelibStore,
    key: StoreKey,
    file: PathBuf,
    _directory: TempDir,
}

thread_local! {
    static CASE: Case = case();
}

fn case() -> Case {
    // In memory, if it can be: there it costs nothing to wait for the disk.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let directory = directory.expect("a directory");
    let store = CachelibStore::new(directory.path());
    let settings = Settings::flask().with_format(Format::Json);
    let id = SessionId::from_flask(ID).expect("an id");
    let key = KeyPrefix::default().plain_key(&id);
    let bench = Bench::new(settings, store.clone());
    let record = record(b"{}");
    assert!(
        run(store.insert(&key, &record))
            .expect("a file")
            .is_stored()
    );
    let file = fs::read_dir(directory.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.file_name().is_some_and(|name| name.len() == 64));
    Case {
        bench,
        store,
        key,
        file: file.expect("the session's file"),
        _directory: directory,
    }
}

fn record(bytes: &[u8]) -> Record {
    Record {
        bytes: Bytes::copy_from_slice(bytes),
        expires_at: at(NOW + 3600),
        entry: None,
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fuzz_target!(|bytes: &[u8]| {
    CASE.with(|case| limited(|| case.check(bytes)));
});

impl Case {
    fn check(&self, bytes: &[u8]) {
        fs::write(&self.file, bytes).expect("the directory is writable");
        let loaded = run(self.store.load(&self.key));
        assert_eq!(loaded.is_ok(), bytes.len() >= 4);
        let Ok(Some(loaded)) = loaded else {
            return;
        };
        assert_eq!(loaded.bytes, bytes[4..]);
        if let Ok((visit, session)) = self.bench.open_id(ID)
            && !session.is_new()
        {
            let _ = self.bench.finish(&visit);
        }
        // The same bytes as a session to write.
        let loaded = run(self.store.load(&self.key));
        let revision = loaded.expect("a file").expect("a session").revision;
        let new = record(&bytes[4..]);
        let update = self.store.update(&self.key, &new, &revision);
        assert!(matches!(run(update), Ok(Write::Stored(_))));
        let stored = run(self.store.load(&self.key));
        let stored = stored.expect("a file").expect("a session");
        assert_eq!(stored.expires_at, Some(at(NOW + 3600)));
        same(&new.bytes, &stored.bytes);
    }
}

/// Whether both hold the same values; what is no session stays none.
fn same(given: &Bytes, stored: &Bytes) {
    let Ok(Some(given)) = Payload::decode(given.clone(), Format::Json) else {
        return;
    };
    let stored = Payload::decode(stored.clone(), Format::Json);
    let stored = stored.expect("it can be read").expect("a session");
    assert!(given.keys().eq(stored.keys()));
    for key in given.keys() {
        let value = |payload: &Payload| payload.value(key).expect("every key has a value");
        let (given, stored) = (value(&given), value(&stored));
        assert_eq!(given.to_json_lossy(), stored.to_json_lossy());
    }
}
