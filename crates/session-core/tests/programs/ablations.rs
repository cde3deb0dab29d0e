//! Each rule of the machine broken once, and each promise of a store: the programs find it.

use session_core::model::{self, Rule};

use crate::{generator, history::Promise, runner::Bench, store::Broken};

/// Within so many programs whatever is broken has to be found.
const PROGRAMS: u64 = 100_000;

/// The first program that breaks a promise while `breaks` gives something, and does not break it otherwise.
fn first_found<G>(bench: &Bench, breaks: impl Fn() -> G) -> Option<(u64, Promise)> {
    let sound = Bench::new();
    (0..PROGRAMS).find_map(|seed| {
        let program = generator::program(seed);
        let broken = breaks();
        let violations = bench.run(&program);
        drop(broken);
        if violations.is_empty() {
            return None;
        }
        let anyway = sound.run(&program);
        let new = violations
            .iter()
            .find(|it| anyway.iter().all(|other| other.promise != it.promise))?;
        Some((seed, new.promise))
    })
}

/// Panics with those of `all` that are not found.
fn each_is_found<T: Copy + std::fmt::Debug>(all: &[T], find: impl Fn(T) -> Option<(u64, Promise)>) {
    let missed: Vec<_> = all
        .iter()
        .filter(|it| {
            let found = find(**it);
            eprintln!("{it:?}: {found:?}");
            found.is_none()
        })
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn each_rule_that_is_broken_is_found() {
    each_is_found(model::RULES, |rule: Rule| {
        first_found(&Bench::new(), || model::break_rule(rule))
    });
}

#[test]
fn each_promise_of_a_store_that_is_broken_is_found() {
    let all = [
        Broken::UpdateNeverRefuses,
        Broken::UpdateRevives,
        Broken::UpdateLoses,
        Broken::UpdateDeletes,
        Broken::InsertOverwrites,
        Broken::IndexForgets,
        Broken::LoadIsStale,
    ];
    each_is_found(&all, |broken| {
        let bench = Bench::new();
        bench.break_store(broken);
        first_found(&bench, || ())
    });
}

#[test]
fn only_a_browser_that_obeys_max_age_sees_that_cookies_are_not_renewed() {
    let breaks = || model::break_rule(Rule::CookieHasItsOwnEnd);
    let (seed, promise) = first_found(&Bench::new(), breaks).expect("it is found");
    assert_eq!(promise, Promise::LoggedIn);
    let mut lenient = Bench::new();
    lenient.browser_ignores_max_age = true;
    let _broken = breaks();
    let violations = lenient.run(&generator::program(seed));
    assert!(violations.is_empty(), "{violations:?}");
}
