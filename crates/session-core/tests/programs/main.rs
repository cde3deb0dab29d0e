//! Random programs over the whole public API, and what is promised of each.
//!
//! A program is a function of a number: `SESSION_TEST_SEED` is the first, `SESSION_TEST_PROGRAMS` how many. Those that
//! break a promise are made smaller and printed.

mod browser;
mod checker;
mod clock;
mod generator;
mod history;
mod known;
mod program;
mod request;
mod runner;
mod shrinker;
mod store;

use std::{collections::BTreeMap, thread, time::Instant};

use history::Promise;
use program::Program;
use runner::Bench;

const PROGRAMS: u64 = 100_000;

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |it| it.parse().expect("a number"))
}

#[test]
fn random_programs_keep_every_promise() {
    let first = number("SESSION_TEST_SEED", 0);
    let count = number("SESSION_TEST_PROGRAMS", PROGRAMS);
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(1, |it| it.get() as u64);
    let found: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|it| scope.spawn(move || search(first + it, threads, first + count)))
            .collect();
        workers.into_iter().flat_map(|it| it.join().expect("no program panics")).collect()
    });
    eprintln!("{count} programs in {:?}, {} fail", began.elapsed(), found.len());
    report(&found);
    assert!(found.is_empty());
}

fn search(first: u64, step: u64, end: u64) -> Vec<(u64, Promise)> {
    let bench = Bench::new();
    let mut found = Vec::new();
    let mut seed = first;
    while seed < end {
        let program = generator::program(seed);
        for violation in bench.run(&program) {
            let known = known::is_known(&program, violation.promise);
            if !known && !found.contains(&(seed, violation.promise)) {
                found.push((seed, violation.promise));
            }
        }
        seed += step;
    }
    found
}

fn report(found: &[(u64, Promise)]) {
    let mut kinds: BTreeMap<Promise, u64> = BTreeMap::new();
    for (_, promise) in found {
        *kinds.entry(*promise).or_default() += 1;
    }
    eprintln!("{kinds:#?}");
    let bench = Bench::new();
    let mut seen: BTreeMap<String, (u64, Program, String)> = BTreeMap::new();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let most = number("SESSION_TEST_SHRINK", 100);
    let mut done: BTreeMap<Promise, u64> = BTreeMap::new();
    for (seed, promise) in found {
        let tried = done.entry(*promise).or_default();
        *tried += 1;
        if *tried > most {
            continue;
        }
        let fails = |program: &Program| {
            !known::is_known(program, *promise)
                && bench.run(program).iter().any(|it| it.promise == *promise)
        };
        let small = shrinker::shrink(&generator::program(*seed), fails);
        let text = bench.run(&small).into_iter().find(|it| it.promise == *promise).map(|it| it.text);
        let mut steps: Vec<_> = small.steps().map(|it| format!("{it:?}")).collect();
        steps.sort();
        let shape = format!("{promise:?} {:?} {}", small.config.layout, steps.join(" "));
        *counts.entry(shape.clone()).or_default() += 1;
        seen.entry(shape).or_insert((*seed, small, text.unwrap_or_default()));
    }
    for (shape, (seed, program, text)) in seen {
        eprintln!("== {} x {shape}\nseed {seed}: {text}\n{}\n", counts[&shape], shrinker::text(&program));
        if number("SESSION_TEST_TRACE", 0) == 1 {
            eprintln!("{}\n", bench.trace(&program));
        }
    }
}
