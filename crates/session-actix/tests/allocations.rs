//! How often a request allocates memory, beyond the same request without sessions. The README says
//! what each allocation is. This is a test program of its own, because it counts the allocations of
//! the whole program.
//!
//! The store is `MemoryStore`, which allocates nothing but its future, or one that each call waits
//! for, as for a server.

#[path = "../examples/request_cost/visits.rs"]
mod visits;

use std::sync::Arc;

use actix_web::rt::System;
use dhat::{Alloc, HeapStats, Profiler};
use session_actix::session_core::{
    Loaded, MemoryStore, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait,
};
use tokio::task::yield_now;

#[global_allocator]
static ALLOCATOR: Alloc = Alloc;

const FEW: u64 = 20;
const MANY: u64 = 120;

#[derive(Debug)]
struct Distant(MemoryStore);

#[async_trait]
impl SessionStore for Distant {
    fn limit(&self) -> usize {
        self.0.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        yield_now().await;
        self.0.load(key).await
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        yield_now().await;
        self.0.insert(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        yield_now().await;
        self.0.update(key, record, revision).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        yield_now().await;
        self.0.delete(key).await
    }
}

/// Allocations of one request, without those of the start and the end. `distant-` stands before a
/// kind whose store is waited for.
fn of_one(kind: &str) -> u64 {
    let count = |requests| {
        let before = HeapStats::get().total_blocks;
        let store = MemoryStore::new();
        let sent = match kind.strip_prefix("distant-") {
            Some(kind) => visits::send_requests(kind, requests, Arc::new(Distant(store))),
            None => visits::send_requests(kind, requests, Arc::new(store)),
        };
        let done = System::new().block_on(sent);
        done.expect("each answer is the right one");
        HeapStats::get().total_blocks - before
    };
    // What is made once in a process.
    count(1);
    (count(MANY) - count(FEW)) / (MANY - FEW)
}

#[test]
fn a_session_allocates_little() {
    let _counts = Profiler::builder().testing().build();
    let route = u64::from(cfg!(debug_assertions));
    for (kind, without, expected) in [
        ("untouched", "without", 2),
        ("guarded", "without", 2),
        ("read", "read-without", 8 + route),
        ("change", "change-without", 18 + route),
        // One more for each call: the future of the store around the `MemoryStore`.
        ("distant-read", "read-without", 9 + route),
        ("distant-change", "change-without", 20 + route),
    ] {
        assert_eq!(of_one(kind) - of_one(without), expected, "{kind}");
    }
}
