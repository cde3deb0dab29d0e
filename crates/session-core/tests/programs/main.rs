//! Random programs over the whole public API, with a check of every promise on each.
//!
//! A program is a function of a number: `SESSION_TEST_SEED` is the first, `SESSION_TEST_PROGRAMS`
//! how many there are. One that breaks a promise is made smaller and printed, with what happened in
//! it.

mod ablations;
mod browser;
mod checker;
mod clock;
mod found;
mod generator;
mod history;
mod program;
mod races;
mod request;
mod runner;
mod shrinker;
mod store;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use history::Promise;
use program::Program;
use runner::Bench;
use session_core::model;

/// How many programs are run unless the environment says otherwise.
const PROGRAMS: u64 = 100_000;
/// With so many programs each row of the machine's table has to be used a thousand times.
const EVERY_ROW: u64 = 10_000_000;
/// How many programs that fail are made smaller.
const SHRUNK: usize = 200;

#[test]
fn random_programs_keep_every_promise() {
    let first = number("SESSION_TEST_SEED", 0);
    let count = number("SESSION_TEST_PROGRAMS", PROGRAMS);
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(1, |it| it.get() as u64);
    let mut found: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|it| scope.spawn(move || search(first + it, threads, first + count)))
            .collect();
        let workers = workers.into_iter();
        workers
            .flat_map(|it| it.join().expect("no program panics"))
            .collect()
    });
    found.sort_unstable();
    let time = began.elapsed();
    eprintln!(
        "{count} programs from {first} on {threads} threads in {time:?}: {} fail",
        found.len()
    );
    let rare: Vec<_> = model::rows()
        .into_iter()
        .filter(|it| it.uses < 1000)
        .collect();
    for row in &rare {
        eprintln!("{}, {}: used {} times", row.state, row.event, row.uses);
    }
    report(&found);
    assert!(found.is_empty(), "{} programs break a promise", found.len());
    assert!(
        count < EVERY_ROW || rare.is_empty(),
        "rows are used too rarely"
    );
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |it| it.parse().expect("a number"))
}

/// Every `step`th program up to `end`: the promises that each breaks.
fn search(first: u64, step: u64, end: u64) -> Vec<(u64, Promise)> {
    let bench = Bench::new();
    let mut found = Vec::new();
    let mut seed = first;
    while seed < end {
        let program = generator::program(seed);
        let began = Instant::now();
        for violation in bench.run(&program) {
            if !found.contains(&(seed, violation.promise)) {
                found.push((seed, violation.promise));
            }
        }
        let time = began.elapsed();
        assert!(
            time < Duration::from_secs(60),
            "program {seed} took {time:?}"
        );
        seed += step;
    }
    found
}

/// Prints the programs that fail, each made as small as possible, and one of each kind.
fn report(found: &[(u64, Promise)]) {
    let bench = Bench::new();
    let mut alike: BTreeMap<String, (u64, u64, Program)> = BTreeMap::new();
    for (seed, promise) in found.iter().take(SHRUNK) {
        let fails = |program: &Program| {
            let violations = bench.run(program);
            violations.iter().any(|it| it.promise == *promise)
        };
        let small = shrinker::shrink(&generator::program(*seed), fails);
        let mut steps: Vec<_> = small.steps().map(|it| format!("{it:?}")).collect();
        steps.sort();
        let shape = format!("{promise:?} {:?} {}", small.config.layout, steps.join(" "));
        alike.entry(shape).or_insert((0, *seed, small)).0 += 1;
    }
    for (shape, (times, seed, program)) in alike {
        eprintln!(
            "== {times} x {shape}\nseed {seed}\n{}",
            shrinker::text(&program)
        );
        eprintln!("{}\n", bench.trace(&program));
    }
}
