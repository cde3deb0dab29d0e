//! How often a request allocates memory, beside the same request without sessions.

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
        let visit = System::new().block_on(visits::send_requests(kind, requests));
        visit.expect("each answer is the right one");
        HeapStats::get().total_blocks - before
    };
    count(1);
    (count(MANY) - count(FEW)) / (MANY - FEW)
}

#[test]
fn a_session_allocates_little() {
    let _profiler = Profiler::builder().testing().build();
    for (kind, without) in [
        ("untouched", "without"),
        ("guarded", "without"),
        ("read", "read-without"),
        ("change", "change-without"),
    ] {
        println!("{kind}: {} more than {}", of_one(kind) as i64 - of_one(without) as i64, of_one(without));
    }
}

#[test]
fn scratch() {
    let Ok(kind) = std::env::var("KIND") else { return };
    let visit = |n| System::new().block_on(visits::send_requests(&kind, n)).unwrap();
    visit(5);
    let _profiler = Profiler::builder().file_name(format!("/tmp/dhat-{kind}.json")).trim_backtraces(Some(60)).build();
    visit(1000);
}
