//! The random programs of `session-core` whose sessions move, with real stores in place of its own: the
//! same checker judges what came of each move and each copy.
//!
//! `SESSION_TEST_SEED` is the first program, `SESSION_TEST_MOVES` how many of them there are for each pair
//! of stores.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backed;
#[path = "../../../crates/session-core/tests/programs/browser.rs"]
mod browser;
#[path = "../../../crates/session-core/tests/programs/checker.rs"]
mod checker;
#[path = "../../../crates/session-core/tests/programs/clock.rs"]
mod clock;
#[path = "../../../crates/session-core/tests/programs/generator.rs"]
mod generator;
#[path = "../../../crates/session-core/tests/programs/history.rs"]
mod history;
#[path = "../../../crates/session-core/tests/programs/program.rs"]
mod program;
#[path = "../../../crates/session-core/tests/programs/request.rs"]
mod request;
#[path = "../../../crates/session-core/tests/programs/runner.rs"]
mod runner;
#[path = "../../../crates/session-core/tests/programs/store.rs"]
#[expect(dead_code, reason = "what breaks the store is for other tests")]
mod store;

use std::{
    fs,
    future::{Ready, ready},
    path::Path,
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use backed::{RealStore, RealStores};
use runner::Bench;
use session_core::SessionStore;
use session_fs::FileStore;
use session_redis::RedisStore;
use session_sql::{PostgresStore, SqlSessions, SqliteStore};
use session_tests::{Postgres, RedisServer, rounds, scratch_dir};

const PATIENCE: Duration = Duration::from_secs(30);

/// Nothing is broken here.
mod ablations {
    use crate::store::Store;

    #[derive(Clone)]
    pub(crate) enum Break {}

    impl Break {
        pub(crate) fn apply(self, _: &Store) {
            match self {}
        }
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |it| it.parse().expect("a number"))
}

/// Runs programs whose sessions move from the one store to the other, or back.
fn moves_keep_every_promise(name: &str, stores: RealStores) {
    let count = number("SESSION_TEST_MOVES", rounds() as u64);
    let bench = Bench::new();
    bench.store.world().backing = Some(Box::new(stores));
    let seeds = number("SESSION_TEST_SEED", 0)..;
    let programs = seeds.map(|seed| (seed, generator::program(seed)));
    let moves = programs.filter(|(_, program)| program.config.moving.is_some());
    let mut failed = Vec::new();
    for (seed, program) in moves.take(usize::try_from(count).unwrap()) {
        let broken = bench.run(&program);
        if !broken.is_empty() {
            eprintln!(
                "{name}, program {seed}: {broken:#?}\n{}",
                bench.trace(&program)
            );
            failed.push(seed);
        }
    }
    eprintln!("{name}: {count} programs, {} break a promise", failed.len());
    assert!(failed.is_empty(), "{name}: {failed:?}");
}

async fn migrated<S: SqlSessions>(store: S) -> Arc<dyn SessionStore> {
    store.migrate().await.unwrap();
    Arc::new(store)
}

/// The bytes in hexadecimal digits, each pair after `before`.
fn digits(bytes: &[u8], before: &str) -> String {
    let pairs = bytes.iter().map(|it| format!("{before}{it:02x}"));
    pairs.collect()
}

async fn redis() -> RealStore {
    let server = Arc::new(RedisServer::start(&[]).await);
    let asked = server.clone();
    let store = RedisStore::connect(&server.url()).unwrap();
    RealStore {
        // A busy machine is no outage.
        store: Arc::new(
            store
                .with_response_timeout(PATIENCE)
                .with_connect_timeout(PATIENCE),
        ),
        damage: Box::new(move |key, bytes| {
            let bytes = digits(bytes, "\\x");
            let answer = asked.command(&format!("SET {key} \"{bytes}\" KEEPTTL"));
            assert!(answer.starts_with("+OK"), "{answer}");
        }),
        _guard: Box::new(server),
    }
}

async fn postgres() -> RealStore {
    let server = Postgres::start().await;
    let url = server.url();
    RealStore {
        store: migrated(PostgresStore::connect(&url).unwrap()).await,
        damage: Box::new(move |key, bytes| {
            let (bytes, key) = (digits(bytes, ""), digits(key.as_bytes(), ""));
            let set =
                format!("UPDATE sessions SET payload = '\\x{bytes}' WHERE store_key = '\\x{key}'");
            // This thread is one of a runtime.
            thread::scope(|scope| scope.spawn(|| execute(&url, &set)).join()).unwrap();
        }),
        _guard: Box::new(server),
    }
}

fn execute(url: &str, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    runtime.block_on(session_tests::execute(url, statement));
}

async fn sqlite() -> RealStore {
    let directory = scratch_dir();
    let file = directory.path().join("s.db").display().to_string();
    let url = format!("sqlite://{file}?mode=rwc");
    RealStore {
        store: migrated(SqliteStore::connect(&url).unwrap()).await,
        damage: Box::new(move |key, bytes| {
            let (bytes, key) = (digits(bytes, ""), digits(key.as_bytes(), ""));
            let set =
                format!("UPDATE sessions SET payload = x'{bytes}' WHERE store_key = x'{key}'");
            let python = format!(
                "import sqlite3; c = sqlite3.connect({file:?}); c.execute({set:?}); c.commit()"
            );
            let ran = Command::new("python3").args(["-c", &python]).status();
            assert!(ran.unwrap().success(), "{set}");
        }),
        _guard: Box::new(directory),
    }
}

fn files() -> Ready<RealStore> {
    let directory = scratch_dir();
    let sessions = directory.path().join("sessions");
    ready(RealStore {
        store: Arc::new(FileStore::open(&sessions).unwrap()),
        damage: Box::new(move |key, _| {
            // The store itself sees it.
            cut(&sessions, key.as_bytes());
        }),
        _guard: Box::new(directory),
    })
}

/// Cuts the last byte off the file that holds the record under this key.
fn cut(directory: &Path, key: &[u8]) {
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let inside = fs::read_dir(path).unwrap();
            left.extend(inside.map(|it| it.unwrap().path()));
            continue;
        }
        // Another thread may remove a file meanwhile.
        let bytes = fs::read(&path).unwrap_or_default();
        if bytes.windows(key.len()).any(|it| it == key) {
            fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        }
    }
}

macro_rules! pairs {
    ($($name:ident: $old:ident, $new:ident;)*) => { $(
        #[test]
        fn $name() {
            let stores = RealStores::open(async || [$old().await, $new().await]);
            moves_keep_every_promise(stringify!($name), stores);
        }
    )* };
}

pairs! {
    redis_to_postgres: redis, postgres;
    redis_to_sqlite: redis, sqlite;
    redis_to_files: redis, files;
    postgres_to_redis: postgres, redis;
    postgres_to_sqlite: postgres, sqlite;
    postgres_to_files: postgres, files;
    sqlite_to_redis: sqlite, redis;
    sqlite_to_postgres: sqlite, postgres;
    sqlite_to_files: sqlite, files;
    files_to_redis: files, redis;
    files_to_postgres: files, postgres;
    files_to_sqlite: files, sqlite;
}
