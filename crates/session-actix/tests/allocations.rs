//! How often a request allocates memory, beyond the same request without sessions. The README says
//! what each allocation is. This is a test program of its own, because it counts the allocations of
//! the whole program.
//!
//! The store is `MemoryStore`, which allocates nothing but its future.

#[path = "../examples/request_cost/visits.rs"]
mod visits;

use actix_web::rt::System;
use dhat::{Alloc, HeapStats, Profiler};

#[global_allocator]
static ALLOCATOR: Alloc = Alloc;

const FEW: u64 = 20;
const MANY: u64 = 120;

/// Allocations of one request, without those of the start and the end.
fn of_one(kind: &str) -> u64 {
    let count = |requests| {
        let before = HeapStats::get().total_blocks;
        let done = System::new().block_on(visits::send_requests(kind, requests));
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
        ("read", "read-without", 11 + route),
        ("change", "change-without", 23 + route),
    ] {
        assert_eq!(of_one(kind) - of_one(without), expected, "{kind}");
    }
}
