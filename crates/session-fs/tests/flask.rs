//! `CachelibStore`: the store contract, as far as cachelib's format allows, and the exact format.

#![cfg(feature = "flask")]
#![allow(clippy::unwrap_used, reason = "test code")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use session_core::{
    Error, ExpiredSweep as _, Record, SessionStore as _, StoreKey, config::Env,
    conformance::Fixture,
};
use session_fs::CachelibStore;
use session_tests::{assert_in_time, scratch_dir, sweep_up_to};
use tempfile::TempDir;

fn open() -> Fixture<CachelibStore> {
    let directory = scratch_dir();
    let [one, other] = [(); 2].map(|()| CachelibStore::new(directory.path()));
    Fixture::new(one)
        .with_second(other.into())
        .with_told_expiry()
        .keeping(directory)
}

// Four bytes of seconds end in the year 2106.
session_core::conformance_tests!(async { open() }, except: [an_expiry_in_the_year_2200_survives]);
session_core::expired_sweep_tests!(async { open() });

const SHA256: &str = "8218e4462084a7a64a8c72a8cac882dc343336b31a566dca549662878580a986";
const MD5: &str = "7b328d3dec19f3ba4689e571988d3602";
/// Written by cachelib 0.17 with its `JSONSerializer`, under the name above. It expires in 2100.
const FILE: &[u8] = b"\x3c\x57\x86\xf4{\"_permanent\": true, \"a\": \"x\"}";
const EXPIRY: u64 = 4_102_444_860;
/// The store's marker of a directory that was set up. It is not a session to cachelib.
const MARKER: &str = ".set-up.__wz_cache";

struct Cache {
    store: CachelibStore,
    key: StoreKey,
    directory: TempDir,
}

impl Cache {
    fn new() -> Self {
        let directory = scratch_dir();
        Self {
            store: CachelibStore::new(directory.path()),
            key: StoreKey::from_stored("session:golden"),
            directory,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn record(payload: &[u8]) -> Record {
    Record {
        bytes: payload.to_vec().into(),
        expires_at: UNIX_EPOCH + Duration::from_secs(EXPIRY),
        entry: None,
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != MARKER)
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn files_of_cachelib_are_read_and_written_byte_for_byte() {
    let cache = Cache::new();
    fs::write(cache.path(SHA256), FILE).unwrap();
    let found = cache.store.load(&cache.key).await.unwrap().unwrap();
    assert_eq!(found.bytes, FILE[4..]);
    assert_eq!(
        found.expires_at,
        Some(UNIX_EPOCH + Duration::from_secs(EXPIRY))
    );

    cache.store.delete(&cache.key).await.unwrap();
    assert!(names(cache.directory.path()).is_empty());
    let inserted = cache.store.insert(&cache.key, &record(&FILE[4..])).await;
    assert!(inserted.unwrap().is_stored());
    assert_eq!(names(cache.directory.path()), [SHA256]);
    assert_eq!(fs::read(cache.path(SHA256)).unwrap(), FILE);
    let mode = fs::metadata(cache.path(SHA256)).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[tokio::test]
async fn a_file_named_by_md5_is_found_and_keeps_its_name() {
    let cache = Cache::new();
    fs::write(cache.path(MD5), FILE).unwrap();
    let found = cache.store.load(&cache.key).await.unwrap().unwrap();
    let refused = cache.store.insert(&cache.key, &record(b"{}")).await;
    assert!(!refused.unwrap().is_stored());
    let next = record(b"{}");
    let updated = cache.store.update(&cache.key, &next, &found.revision).await;
    assert!(updated.unwrap().is_stored());
    assert_eq!(names(cache.directory.path()), [MD5]);

    let older = cache.store.clone().with_md5_names();
    older.delete(&cache.key).await.unwrap();
    assert!(
        older
            .insert(&cache.key, &record(b"{}"))
            .await
            .unwrap()
            .is_stored()
    );
    assert_eq!(names(cache.directory.path()), [MD5]);
}

#[tokio::test]
async fn an_expiry_of_zero_means_never() {
    let cache = Cache::new();
    fs::write(cache.path(SHA256), [&[0; 4], &FILE[4..]].concat()).unwrap();
    let found = cache.store.load(&cache.key).await.unwrap().unwrap();
    let far = SystemTime::now() + Duration::from_secs(24 * 365 * 50 * 3600);
    assert!(found.expires_at > Some(far));
    assert_eq!(sweep_up_to(&cache.store, 10).await, 0);
    let expired = Record {
        expires_at: UNIX_EPOCH,
        ..record(b"{}")
    };
    let updated = cache
        .store
        .update(&cache.key, &expired, &found.revision)
        .await;
    assert!(updated.unwrap().is_stored());
    assert_eq!(sweep_up_to(&cache.store, 10).await, 1);
    assert!(cache.store.load(&cache.key).await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_too_short_for_its_expiry_is_unreadable() {
    let cache = Cache::new();
    for length in 0..4 {
        fs::write(cache.path(SHA256), &FILE[..length]).unwrap();
        let loaded = cache.store.load(&cache.key).await;
        assert!(
            matches!(loaded, Err(Error::Corrupt { .. })),
            "{length}: {loaded:?}"
        );
    }
    let inserted = cache.store.insert(&cache.key, &record(b"{}")).await;
    assert!(
        !inserted.unwrap().is_stored(),
        "the unreadable file still has the name"
    );
    cache.store.delete(&cache.key).await.unwrap();
    let inserted = cache.store.insert(&cache.key, &record(b"{}")).await;
    assert!(inserted.unwrap().is_stored());
}

/// With 100 calls, the live files in front must not be read 100 times.
#[tokio::test]
async fn a_sweep_continues_where_the_last_one_stopped() {
    let cache = Cache::new();
    let live = SystemTime::now() + Duration::from_secs(3600);
    for number in 0..5000 {
        let key = StoreKey::from_stored(format!("session:{number}"));
        let expires_at = if number % 5 == 0 { UNIX_EPOCH } else { live };
        let record = Record {
            expires_at,
            ..record(b"{}")
        };
        let inserted = cache.store.insert(&key, &record).await;
        assert!(inserted.unwrap().is_stored());
    }
    let started = Instant::now();
    let swept = cache.store.sweep_as_of(UNIX_EPOCH, 1).await.unwrap();
    assert_eq!(swept.removed, 0);
    let once = started.elapsed();

    let started = Instant::now();
    let mut calls = 0;
    while sweep_up_to(&cache.store, 10).await == 10 {
        calls += 1;
    }
    let took = started.elapsed();
    assert_eq!(calls, 100);
    assert_eq!(names(cache.directory.path()).len(), 4000);
    assert_in_time!(took < once * 15, "{took:?}, once {once:?}");
}

/// After a power loss, files that were not flushed are empty.
#[tokio::test]
async fn a_sweep_removes_an_empty_file_with_a_sessions_name() {
    let cache = Cache::new();
    for name in [SHA256, MD5] {
        fs::write(cache.path(name), "").unwrap();
    }
    assert_eq!(sweep_up_to(&cache.store, 10).await, 2);
    assert!(names(cache.directory.path()).is_empty());
    fs::write(cache.path(SHA256), [1, 0, 0]).unwrap();
    assert_eq!(
        sweep_up_to(&cache.store, 10).await,
        0,
        "it could be foreign"
    );
}

#[tokio::test]
async fn a_sweep_keeps_files_that_are_not_sessions() {
    let cache = Cache::new();
    let expired = [&1_u32.to_ne_bytes()[..], b"{}"].concat();
    let count = "79bc207ea1cf1b9b0a4e7f2ef3cd3fbb79bc207ea1cf1b9b0a4e7f2ef3cd3fbb";
    fs::write(cache.path(count), [0, 0, 0, 0, 5]).unwrap();
    for name in ["notes.txt", "tmpabc.__wz_cache", &SHA256.to_uppercase()] {
        fs::write(cache.path(name), &expired).unwrap();
    }
    fs::create_dir(cache.path(&"d".repeat(64))).unwrap();
    let before = names(cache.directory.path());
    fs::write(cache.path(SHA256), &expired).unwrap();
    fs::write(cache.path(MD5), &expired).unwrap();
    assert_eq!(sweep_up_to(&cache.store, 10).await, 2);
    assert_eq!(names(cache.directory.path()), before);
}

#[tokio::test]
async fn a_missing_directory_is_an_error_until_it_is_back() {
    let cache = Cache::new();
    let (store, directory) = (&cache.store, cache.directory.path());
    let inserted = store.insert(&cache.key, &record(b"{}")).await;
    assert!(inserted.unwrap().is_stored());
    let aside = directory.with_extension("aside");
    fs::rename(directory, &aside).unwrap();
    for empty in [false, true] {
        if empty {
            fs::create_dir(directory).unwrap();
            fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
        }
        let loaded = store.load(&cache.key).await;
        assert!(matches!(loaded, Err(Error::Backend { .. })), "{loaded:?}");
        let inserted = store.insert(&cache.key, &record(b"{}")).await;
        assert!(
            matches!(inserted, Err(Error::Backend { .. })),
            "{inserted:?}"
        );
        assert!(store.sweep(10).await.is_err());
        assert_eq!(
            fs::read_dir(directory).is_ok_and(|mut it| it.next().is_none()),
            empty
        );
    }
    fs::remove_dir(directory).unwrap();
    fs::rename(&aside, directory).unwrap();
    assert!(store.load(&cache.key).await.unwrap().is_some());
}

#[test]
fn an_unsafe_directory_is_refused_with_advice() {
    let cache = Cache::new();
    fs::set_permissions(cache.directory.path(), Permissions::from_mode(0o770)).unwrap();
    let error = cache.store.check().unwrap_err().to_string();
    let path = cache.directory.path().display();
    assert_eq!(
        error,
        format!("{path} must not be writable by group or others (mode 0770): run chmod 0700 on it")
    );
}

#[test]
fn the_environment_names_the_directory() {
    let from = |path: &str| CachelibStore::from_env(&Env::from_iter([("SESSION_CACHELIB", path)]));
    let directory = scratch_dir();
    let below = directory.path().join("cache");
    let store = from(below.to_str().unwrap()).unwrap();
    assert_eq!(store.directory(), below);
    assert!(below.is_dir());
    let env = Env::from_iter([("SESSION_CACHELIB", "/dev/null")]);
    let error = CachelibStore::from_env(&env).unwrap_err().to_string();
    assert!(error.starts_with("SESSION_CACHELIB "), "{error}");
}
