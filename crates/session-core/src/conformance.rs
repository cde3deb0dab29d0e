//! The store contract as tests. Each promise is a function here, and becomes one test of your
//! store.
//!
//! `conformance_tests!` takes an async expression that opens a [`Fixture`] of the store. It expands
//! to one `#[test]` for each promise that every store makes. A store that can list an owner's
//! sessions adds [`owner_index_tests!`](crate::owner_index_tests), one that must be swept adds
//! [`expired_sweep_tests!`](crate::expired_sweep_tests), and one whose records can all be read adds
//! [`scan_tests!`](crate::scan_tests). If a later version adds a promise, the macros include it.
//!
//! While you develop a store, name the promises that it does not keep yet:
//! `conformance_tests!(open(), except: [the_longest_key_works])`. Such a test passes only while the
//! promise is broken, so the list can only shrink. Sessions are not safe in a store with an
//! exception.
//!
//! ```
//! use session_core::{MemoryStore, conformance::Fixture};
//!
//! fn open() -> Fixture<MemoryStore> {
//!     Fixture::new(MemoryStore::new()).with_told_expiry()
//! }
//!
//! session_core::conformance_tests!(async { open() });
//! session_core::owner_index_tests!(async { open() });
//! session_core::expired_sweep_tests!(async { open() });
//! session_core::scan_tests!(async { open() });
//! # fn main() {}
//! ```
//!
//! [`with_told_expiry`](Fixture::with_told_expiry) is for a layout that keeps the expiry outside of
//! the bytes and returns it.
//!
//! # A store with a server
//!
//! Tests run in parallel, each on its own runtime. So each test opens the store; the server may be
//! shared. [`Shared`] starts the server for the first test and stops it after the last one. Keys
//! are random, and no test empties the store. Only the tests of the sweep count records; they need
//! a table, directory or database of their own.
//!
//! ```
//! # #[derive(Debug)] struct Server;
//! # impl Server { async fn start() -> Self { Server } fn url(&self) -> &str { "" } }
//! # use session_core::MemoryStore as MyStore;
//! # fn connect(_: &str) -> MyStore { MyStore::new() }
//! use session_core::conformance::{Fixture, Shared};
//!
//! static SERVER: Shared<Server> = Shared::new();
//!
//! async fn open() -> Fixture<MyStore> {
//!     let server = SERVER.get_or_start(Server::start).await;
//!     Fixture::new(connect(server.url()))
//!         .with_second(connect(server.url()).into())
//!         .keeping(server)
//! }
//!
//! session_core::conformance_tests!(open());
//! # fn main() {}
//! ```
//!
//! # A complete store
//!
//! This file is in `tests/`, where it passes. Leave out `OwnerIndex` and its tests if the backend
//! cannot list a user's sessions. Leave out `ExpiredSweep` and its tests if the backend removes
//! expired records by itself:
//!
//! ```
#![doc = include_str!("../tests/custom_store.rs")]
//! # fn main() {}
//! ```

#![allow(clippy::missing_panics_doc, reason = "a broken promise is a panic")]

mod answers;
mod bytes;
mod delete;
mod expiry;
mod fixture;
mod handles;
mod insert;
mod keys;
mod list;
mod load;
mod owner;
mod races;
mod scan;
mod shared;
mod sweep;
mod tasks;
mod time;
mod update;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

pub use bytes::*;
pub use delete::*;
pub use expiry::*;
pub use fixture::Fixture;
pub use handles::*;
pub use insert::*;
pub use keys::*;
pub use load::*;
pub use owner::*;
pub use races::*;
pub use scan::*;
pub use shared::Shared;
pub use sweep::*;
pub use update::*;

use list::names;

/// The names of the promises of every store.
pub const STORE_PROMISES: &[&str] = crate::__store_promises!((names), []);
/// The names of the promises of stores that can list an owner's sessions.
pub const OWNER_PROMISES: &[&str] = crate::__owner_promises!((names), []);
/// The names of the promises of stores that must be swept.
pub const SWEEP_PROMISES: &[&str] = crate::__sweep_promises!((names), []);
/// The names of the promises of stores whose records can all be read.
pub const SCAN_PROMISES: &[&str] = crate::__scan_promises!((names), []);

/// One test for each promise of [`SessionStore`](crate::SessionStore).
///
/// Takes an async expression of a [`Fixture`]; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! conformance_tests {
    ($open:expr $(, except: [$($except:ident),* $(,)?])? $(,)?) => {
        $crate::__store_promises!(
            ($crate::__promise_tests),
            [$open, &[$($(::core::stringify!($except)),*)?]]
        );
    };
}

/// One test for each promise of [`OwnerIndex`](crate::OwnerIndex).
///
/// Takes an async expression of a [`Fixture`]; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! owner_index_tests {
    ($open:expr $(, except: [$($except:ident),* $(,)?])? $(,)?) => {
        $crate::__owner_promises!(
            ($crate::__promise_tests),
            [$open, &[$($(::core::stringify!($except)),*)?]]
        );
    };
}

/// One test for each promise of [`ExpiredSweep`](crate::ExpiredSweep).
///
/// Takes an async expression of a [`Fixture`] whose store has no records but those of this test;
/// see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! expired_sweep_tests {
    ($open:expr $(, except: [$($except:ident),* $(,)?])? $(,)?) => {
        $crate::__sweep_promises!(
            ($crate::__promise_tests),
            [$open, &[$($(::core::stringify!($except)),*)?]]
        );
    };
}

/// One test for each promise of [`Scan`](crate::Scan).
///
/// Takes an async expression of a [`Fixture`]; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! scan_tests {
    ($open:expr $(, except: [$($except:ident),* $(,)?])? $(,)?) => {
        $crate::__scan_promises!(
            ($crate::__promise_tests),
            [$open, &[$($(::core::stringify!($except)),*)?]]
        );
    };
}

const DEFAULT_ROUNDS: usize = 50;
const TIME_PER_DEFAULT_ROUNDS: Duration = Duration::from_secs(60);

/// How often each race is repeated: `SESSION_TEST_ROUNDS` of the environment, or 50.
pub fn rounds() -> usize {
    match std::env::var("SESSION_TEST_ROUNDS") {
        Ok(rounds) => rounds
            .parse()
            .unwrap_or_else(|_| panic!("SESSION_TEST_ROUNDS must be a number, not {rounds:?}")),
        Err(_) => DEFAULT_ROUNDS,
    }
}

/// Runs the test of one promise. If it is in `except`, it must fail.
#[doc(hidden)]
pub fn check(promise: &str, except: &[&str], test: impl Future<Output = ()>) {
    for name in except {
        let known = [
            STORE_PROMISES,
            OWNER_PROMISES,
            SWEEP_PROMISES,
            SCAN_PROMISES,
        ]
        .concat();
        assert!(known.contains(name), "there is no promise {name}");
    }
    if !except.contains(&promise) {
        return run(test);
    }
    let kept = catch_unwind(AssertUnwindSafe(|| run(test))).is_ok();
    assert!(!kept, "the store keeps {promise}: remove it from `except`");
}

/// Runs one test on its own runtime with several threads. It may take at most a minute for 50
/// rounds.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let times = u32::try_from(rounds().div_ceil(DEFAULT_ROUNDS)).unwrap_or(u32::MAX);
    let limit = TIME_PER_DEFAULT_ROUNDS.saturating_mul(times);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a machine that runs tests has threads for a runtime")
        .block_on(async { tokio::time::timeout(limit, test).await })
        .unwrap_or_else(|_| panic!("the test did not end within {limit:?}"))
}
