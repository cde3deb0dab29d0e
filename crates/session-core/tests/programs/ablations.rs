//! Each rule broken once, and each promise of a store: the programs find it.

use session_core::model::{self, Rule};

use crate::{generator, history::Promise, known, runner::Bench, store::Broken};

/// Within so many programs whatever is broken has to be found.
const PROGRAMS: u64 = 100_000;

/// The first program that breaks a promise on `bench`, but none on one where nothing is broken.
fn first_found(bench: &Bench, programs: u64) -> Option<(u64, Promise)> {
    (0..programs).find_map(|seed| {
        let program = generator::program(seed);
        let mut violations = bench.run(&program).into_iter();
        let new = violations.find(|it| !known::is_known(&program, it.promise))?;
        Some((seed, new.promise))
    })
}

/// Which of these are not found.
fn missed<T: Copy + std::fmt::Debug>(all: &[T], mut find: impl FnMut(T) -> Option<(u64, Promise)>) {
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
    missed(model::RULES, |rule| {
        let _broken = model::break_rule(rule);
        first_found(&Bench::new(), PROGRAMS)
    });
}

#[test]
fn each_promise_of_a_store_that_is_broken_is_found() {
    let all = [
        Broken::UpdateNeverRefuses,
        Broken::UpdateRevives,
        Broken::UpdateLoses,
        Broken::UpdateDeletes,
        Broken::IndexForgets,
        Broken::LoadIsStale,
    ];
    missed(&all, |broken| {
        let bench = Bench::new();
        bench.break_store(broken);
        first_found(&bench, PROGRAMS)
    });
}

#[test]
fn only_a_browser_that_obeys_max_age_sees_that_cookies_are_not_renewed() {
    let _broken = model::break_rule(Rule::CookieHasItsOwnEnd);
    let (seed, promise) = first_found(&Bench::new(), PROGRAMS).expect("it is found");
    assert_eq!(promise, Promise::LoggedIn);
    let mut lenient = Bench::new();
    lenient.browser_ignores_max_age = true;
    let violations = lenient.run(&generator::program(seed));
    assert!(violations.is_empty(), "{violations:?}");
}
