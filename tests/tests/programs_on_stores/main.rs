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
    any::Any,
    future::{Ready, ready},
    sync::Arc,
};

use backed::RealStores;
use program::Turn;
use runner::Bench;
use session_core::SessionStore;
use session_fs::FileStore;
use session_redis::RedisStore;
use session_sql::{PostgresStore, SqlSessions, SqliteStore};
use session_tests::{Postgres, RedisServer, rounds, scratch_dir};

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
    for (seed, mut program) in moves.take(usize::try_from(count).unwrap()) {
        // No promise says what a store makes of bytes that somebody damaged in it.
        let damages = |it: &Turn| matches!(it, Turn::Damage(_) | Turn::Later(_));
        program.schedule.retain(|it| !damages(it));
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

/// Redis, and the server's guard.
async fn redis() -> (Arc<dyn SessionStore>, Box<dyn Any>) {
    let server = RedisServer::start(&[]).await;
    let store = RedisStore::connect(&server.url()).unwrap();
    (Arc::new(store), Box::new(server))
}

async fn postgres() -> (Arc<dyn SessionStore>, Box<dyn Any>) {
    let server = Postgres::start().await;
    let store = PostgresStore::connect(&server.url()).unwrap();
    (migrated(store).await, Box::new(server))
}

async fn sqlite() -> (Arc<dyn SessionStore>, Box<dyn Any>) {
    let directory = scratch_dir();
    let url = format!("sqlite://{}/s.db?mode=rwc", directory.path().display());
    let store = SqliteStore::connect(&url).unwrap();
    (migrated(store).await, Box::new(directory))
}

fn files() -> Ready<(Arc<dyn SessionStore>, Box<dyn Any>)> {
    let directory = scratch_dir();
    let store = FileStore::open(directory.path().join("sessions")).unwrap();
    ready((Arc::new(store), Box::new(directory)))
}

macro_rules! pairs {
    ($($name:ident: $old:ident, $new:ident;)*) => { $(
        #[test]
        fn $name() {
            let mut guards = Vec::new();
            let stores = RealStores::open(async || {
                let ((old, one), (new, other)) = ($old().await, $new().await);
                guards.extend([one, other]);
                [old, new]
            });
            moves_keep_every_promise(stringify!($name), stores);
            drop(guards);
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
