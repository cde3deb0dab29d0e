//! Stores, keys and records for the tests, and checks of how long a call and a recovery take.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, SystemTime},
};

use session_core::{
    Bytes, IndexEntry, Loaded, OwnerIndex, OwnerKey, Record, Revision, SessionStore, StoreKey,
    Write,
};
use session_redis::RedisStore;
use session_tests::{RedisServer, Watch, assert_in_time};

/// The row of the README's table of rights for each server.
pub(crate) const SERVER_ROW: &str = "each server";
pub(crate) const SCAN_ROW: &str = "each server, for who lists all sessions";

/// The address for a user who has, on these servers, the commands in these rows of the README's
/// table and no others. `keys` are those that the user may use, such as `session:*`. On a person's
/// server, where the tests make no users, it is the address as it is.
pub(crate) fn limited(url: &str, servers: &[&RedisServer], keys: &str, rows: &[&str]) -> String {
    if servers.iter().any(|it| it.is_of_a_person()) {
        return url.to_owned();
    }
    let rights: String = rows.iter().map(|row| rights(row)).collect();
    for server in servers {
        // Another test may have made the user on this server, with other rights.
        let user = format!("ACL SETUSER app reset on >secret ~{keys}{rights}");
        let reply = server.command(&user);
        assert_eq!(reply, "+OK\r\n", "{rights}");
    }
    url.replace("//", "//app:secret@")
}

/// The commands in a row of the README's table, as the rights of an ACL user.
pub(crate) fn rights(row: &str) -> String {
    let readme = include_str!("../../README.md");
    let start = format!("| {row} |");
    let row = readme.lines().find_map(|line| line.strip_prefix(&start));
    let row = row.unwrap().replace("\\|", "|");
    let quoted = row.split('`').skip(1).step_by(2);
    let commands = quoted.flat_map(str::split_whitespace);
    commands
        .flat_map(|command| [" +".to_owned(), command.to_lowercase()])
        .collect()
}

/// The command that changes a record without an entry: a script, or `SET` with `IFEQ` where the
/// server knows it.
pub(crate) fn change_command(server: &RedisServer) -> &'static str {
    let info = server.command("INFO server");
    let since = |name: &str, first: (u32, u32)| {
        let version = info.lines().find_map(|line| line.strip_prefix(name))?;
        let mut numbers = version.split('.').map(|number| number.parse().unwrap());
        Some((numbers.next()?, numbers.next()?) >= first)
    };
    // Valkey also names the version of Redis that it is compatible with.
    let compares = since("valkey_version:", (8, 1)).or_else(|| since("redis_version:", (8, 4)));
    if compares.unwrap() { "SET" } else { "EVALSHA" }
}

/// How many changes clients have sent to the server since `CONFIG RESETSTAT`.
pub(crate) fn changes_sent(server: &RedisServer) -> usize {
    let name = change_command(server).to_ascii_lowercase();
    let stats = server.command("INFO commandstats");
    let start = format!("cmdstat_{name}:calls=");
    let calls = stats.lines().find_map(|line| line.strip_prefix(&start));
    let calls = calls.and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

/// How long any call may take, whatever the server does.
pub(crate) const MAX_CALL_TIME: Duration = Duration::from_millis(1_500);
/// How soon the store must work again after the server's return.
pub(crate) const MAX_RECOVERY_TIME: Duration = Duration::from_secs(2);

/// A store for tests in which each call is answered: how quick the machine is makes no difference.
pub(crate) fn store(url: &str) -> RedisStore {
    patient(store_with_the_defaults(url))
}

/// The store, with more time than a busy machine needs.
pub(crate) fn patient(store: RedisStore) -> RedisStore {
    let time = Duration::from_secs(10);
    store.with_response_timeout(time).with_connect_timeout(time)
}

/// A store for tests in which calls get no answer.
pub(crate) fn store_with_the_defaults(url: &str) -> RedisStore {
    RedisStore::connect(url).unwrap()
}

pub(crate) fn key(name: &str) -> StoreKey {
    StoreKey::from_stored(format!("session:{name}"))
}

pub(crate) fn record(bytes: impl Into<Vec<u8>>) -> Record {
    expiring_in(Duration::from_secs(600), bytes)
}

pub(crate) fn expiring_in(ttl: Duration, bytes: impl Into<Vec<u8>>) -> Record {
    Record {
        bytes: bytes.into().into(),
        expires_at: SystemTime::now() + ttl,
        entry: None,
    }
}

/// The bytes of a record of `length` bytes that looks native, with a write tag of its own.
pub(crate) fn native(tag: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[..2].copy_from_slice(&[0xc1, 1]);
    bytes[8..16].fill(tag);
    bytes
}

/// The bytes of a record that contains a text.
pub(crate) type Kind = fn(&str) -> Vec<u8>;

/// Plain bytes, all of which a script compares, and those of a native record, of which it compares
/// the write tag alone. A long native record is compared by its digest where the server knows that.
pub(crate) const KINDS: [(&str, Kind); 3] = [
    ("plain", |text| text.into()),
    ("native", |text| native_with(text, HEADER)),
    ("long", |text| native_with(text, 2_000)),
];

/// The length of the shortest native record.
const HEADER: usize = 66;

fn native_with(text: &str, before: usize) -> Vec<u8> {
    let mut bytes = native(0, before);
    let mut tag = DefaultHasher::new();
    text.hash(&mut tag);
    bytes[8..16].copy_from_slice(&tag.finish().to_be_bytes());
    bytes.extend(text.bytes());
    bytes
}

/// The text in bytes of one of [`KINDS`].
pub(crate) fn text(bytes: &[u8]) -> &str {
    let is_native = bytes.starts_with(&[0xc1, 1]);
    let text = if is_native { &bytes[HEADER..] } else { bytes };
    std::str::from_utf8(text).unwrap().trim_start_matches('\0')
}

/// A record that expires after `ttl`, with an entry of the same time in the index of [`owner`].
pub(crate) fn owned(ttl: Duration, bytes: impl Into<Vec<u8>>) -> Record {
    owned_until(SystemTime::now() + ttl, bytes)
}

pub(crate) fn owned_until(expires_at: SystemTime, bytes: impl Into<Vec<u8>>) -> Record {
    Record {
        bytes: bytes.into().into(),
        expires_at,
        entry: Some(IndexEntry {
            provider_session: None,
            owner: owner(),
            expires_at,
        }),
    }
}

pub(crate) const OWNER: &str = "session:owner:1";

pub(crate) fn owner() -> OwnerKey {
    OwnerKey::from_stored(OWNER)
}

/// The names and heads of all sessions of [`owner`], listed in pages of up to `limit`.
pub(crate) async fn listed(store: &RedisStore, limit: usize) -> BTreeMap<String, Bytes> {
    let mut all = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = store.owned_by(&owner(), cursor.as_ref(), limit).await;
        let page = page.unwrap();
        let records = page.records.into_iter();
        all.extend(records.map(|it| (it.key.as_str()["session:".len()..].to_owned(), it.head)));
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

pub(crate) fn stored(write: Write) -> Revision {
    match write {
        Write::Stored(revision) => revision,
        Write::Refused => panic!("refused"),
    }
}

pub(crate) async fn insert(store: &RedisStore, name: &str, bytes: impl AsRef<[u8]>) -> Revision {
    let record = record(bytes.as_ref());
    stored(store.insert(&key(name), &record).await.unwrap())
}

pub(crate) async fn update(
    store: &RedisStore,
    name: &str,
    record: &Record,
    revision: &Revision,
) -> Revision {
    stored(store.update(&key(name), record, revision).await.unwrap())
}

/// Tries to change what was there before.
pub(crate) async fn assert_refused(
    store: &RedisStore,
    name: &str,
    record: &Record,
    revision: &Revision,
) {
    let write = store.update(&key(name), record, revision).await;
    assert_eq!(write.unwrap(), Write::Refused);
}

pub(crate) async fn load(store: &RedisStore, name: &str) -> Option<Loaded> {
    store.load(&key(name)).await.unwrap()
}

/// How long `call` took, and its result. Panics if it took [`MAX_CALL_TIME`] or longer.
pub(crate) async fn bounded<T>(call: impl Future<Output = T>) -> (Duration, T) {
    let begin = Watch::start();
    let result = call.await;
    let took = begin.stop(MAX_CALL_TIME).await;
    assert_in_time!(took < MAX_CALL_TIME, "a call took {took:?}");
    (took, result)
}

/// Waits until the store reads and writes, and says how long that took.
pub(crate) async fn recovery(store: &RedisStore) -> Duration {
    let begin = Watch::start();
    loop {
        let name = format!("recovery-{:?}", begin.elapsed());
        if store.insert(&key(&name), &record("x")).await.is_ok()
            && store
                .load(&key(&name))
                .await
                .is_ok_and(|found| found.is_some())
        {
            return begin.stop(MAX_RECOVERY_TIME).await;
        }
        assert_in_time!(
            begin.elapsed() < Duration::from_secs(15),
            "the store still fails"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many clients are connected to the server, without the one that asks for the number.
pub(crate) fn clients(server: &RedisServer) -> usize {
    let list = server.command("CLIENT LIST TYPE normal");
    list.lines()
        // Each batch of the store ends with an `ECHO`.
        .filter(|line| line.contains("lib-name=redis-rs") || line.contains("cmd=echo"))
        .count()
}
