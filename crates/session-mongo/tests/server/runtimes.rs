//! A client lives on the runtime that made it; the store is used from all of them.

use std::time::Duration;

use session_core::SessionStore;
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::setup::{Setup, connect, key, record, stored};

fn worker() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn experiment() {
    let main = worker();
    let setup = main.block_on(Setup::new());
    let (a, b) = (worker(), worker());
    let store = a.block_on(connect(&setup.server.url(), &setup.name));
    let key = key();
    a.block_on(async { stored(store.insert(&key, &record(b"one")).await.unwrap()) });
    eprintln!(
        "not driven: {:?}",
        b.block_on(async { timeout(Duration::from_secs(3), store.load(&key)).await })
    );
    drop(a);
    for _ in 0..3 {
        let begin = std::time::Instant::now();
        eprintln!(
            "dropped: {:?} {:?}",
            b.block_on(async { timeout(Duration::from_secs(5), store.load(&key)).await }),
            begin.elapsed()
        );
    }
}
