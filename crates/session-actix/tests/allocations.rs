//! How often a request allocates memory, beyond the same request without sessions.
//!
//! | request | allocations |
//! |---|---|
//! | untouched | the list of the request's sessions in its extensions, and its entry |
//! | read, further | the request's session and the handle to it, 3; the future of the extractor, 1; the ids of the cookie and their list, 5; the store call and its result, 3; the decoded record, 3 |
//! | change, further | the change and the closure that can repeat it, 5; the copy of the payload that is changed, 2; the new record and its encoding, 4; the save and its store call, 5 |
//!
//! The counts are those of `MemoryStore`, of which 2 are its own in a read, and 4 in a change.

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
    for (kind, without, most) in [
        ("untouched", "without", 2),
        ("guarded", "without", 2),
        ("read", "read-without", 17),
        ("change", "change-without", 33),
    ] {
        let more = of_one(kind) - of_one(without);
        assert!(more <= most, "{kind}: {more} allocations, {most} are known");
    }
}
