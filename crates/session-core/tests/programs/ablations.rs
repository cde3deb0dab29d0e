//! Breaks each row and each rule of the machine, and each promise of a store. The random programs
//! must find it.
//!
//! `ABLATIONS.md` says which program finds which break. Each of its lines is run. With
//! `SESSION_TEST_WRITE=Idle` the lines whose first cell contains `Idle` are written anew; with an
//! empty value, all lines. Each break is tried on up to 100,000 programs.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    num::NonZero,
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use session_core::model::{self, Rule};

use crate::{
    generator,
    history::Promise,
    runner::Bench,
    store::{Broken, Store},
};

/// How many programs are tried to find a break.
const PROGRAMS: u64 = 100_000;

/// After so many panics a break is given up.
const PANICS: usize = 30;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ABLATIONS.md");

const STORES: [Broken; 7] = [
    Broken::UpdateNeverRefuses,
    Broken::UpdateRevives,
    Broken::UpdateLoses,
    Broken::UpdateDeletes,
    Broken::InsertOverwrites,
    Broken::IndexForgets,
    Broken::LoadIsStale,
];

/// Rows that no program judges, and why.
const NOT_JUDGED: &[(&str, &str, &str)] = &[
    (
        "CheckingRefresh",
        "Unreadable",
        "whether an answer carries the id of a record that cannot be read, no promise says",
    ),
    (
        "CheckingNew",
        "LiveProvisional",
        "until its next use, the session would be in no list; edges, sessions_per_user.rs",
    ),
    (
        "CheckingNew",
        "Ended",
        "too rare in the programs; interleavings, where a log-out everywhere overtakes a login",
    ),
    (
        "Ending",
        "StoredLimited",
        "what a failed renewal left would take a place; edges, sessions_per_user.rs",
    ),
    (
        "ForwardingAgain",
        "StoredProvisional",
        "too rare in the programs; edges, sessions_per_user.rs",
    ),
    (
        "ForwardingAgain",
        "FailedAdmitted",
        "for some seconds, the login would take a place; edges, sessions_per_user.rs",
    ),
    (
        "CheckingWinner",
        "FailedAdmitted",
        "for some seconds, the login would take a place; edges, sessions_per_user.rs",
    ),
];

/// One break of a rule, of a row or of the store.
#[derive(Clone, Debug)]
pub(crate) enum Break {
    Rule(Rule),
    Store(Broken),
    Row {
        state: String,
        event: String,
        next: String,
    },
}

impl Break {
    /// Breaks it until the returned value is dropped.
    pub(crate) fn apply(&self, store: &Store) -> impl Drop + use<> {
        let model = match self {
            Self::Rule(rule) => Some(model::break_rule(*rule)),
            Self::Row { state, event, next } => Some(model::break_row(state, event, next)),
            Self::Store(broken) => {
                store.world().broken = Some(*broken);
                None
            }
        };
        Mended {
            _model: model,
            store: store.clone(),
        }
    }

    /// The first two cells of its line.
    fn cells(&self) -> (String, String) {
        match self {
            Self::Rule(rule) => (format!("rule {rule:?}"), "does not hold".into()),
            Self::Store(broken) => ("store".into(), format!("{broken:?}")),
            Self::Row { state, event, next } => (format!("{state}, {event}"), next.clone()),
        }
    }

    /// The promises that the program breaks with this break.
    fn promises(&self, bench: &Bench, seed: u64) -> Vec<Promise> {
        bench.broken.replace(Some(self.clone()));
        let violations = bench.run(&generator::program(seed));
        bench.broken.replace(None);
        violations.into_iter().map(|it| it.promise).collect()
    }

    /// The first program that breaks a promise with this break, other than by a panic. A break that
    /// only panics is given up soon, because it leads to an impossible state.
    fn first_found(&self, bench: &Bench, programs: u64) -> Option<(u64, Promise)> {
        let mut panics = 0;
        for seed in 0..programs {
            let promises = self.promises(bench, seed);
            // Which keys share a queue is random. A program that depends on it proves nothing.
            let again = || self.promises(&Bench::new(), seed);
            if let Some(promise) = promises.iter().find(|it| **it != Promise::Panics)
                && (0..4).all(|_| again().contains(promise))
            {
                return Some((seed, *promise));
            }
            panics += usize::from(!promises.is_empty());
            if panics > PANICS {
                break;
            }
        }
        None
    }
}

/// Restores what is broken, when it is dropped.
struct Mended {
    _model: Option<model::Broken>,
    store: Store,
}

impl Drop for Mended {
    fn drop(&mut self) {
        self.store.world().broken = None;
    }
}

/// Everything that can be broken. Each has several ways to break it.
fn all() -> Vec<Vec<Break>> {
    let rules = model::RULES.iter().map(|it| vec![Break::Rule(*it)]);
    let stores = STORES.iter().map(|it| vec![Break::Store(*it)]);
    let rows = model::rows();
    let broken = rows.iter().map(|row| {
        let alike = rows.iter().filter(|it| it.state == row.state);
        let ends = rows.iter().filter(|it| it.next.starts_with("Done"));
        let mut ways: Vec<_> = alike.chain(ends).map(|it| it.next.clone()).collect();
        // A reload that goes elsewhere may come back to itself without end.
        let reloads = row.event == "ReloadRequested" || row.state == "Reloading";
        ways.retain(|it| !reloads || it.starts_with("Done"));
        let mut known = Vec::new();
        ways.retain(|it| {
            *it != row.next && !known.contains(it) && {
                known.push(it.clone());
                true
            }
        });
        let way = |next| Break::Row {
            state: row.state.clone(),
            event: row.event.clone(),
            next,
        };
        ways.into_iter().map(way).collect()
    });
    rules.chain(stores).chain(broken).collect()
}

#[test]
fn each_ablation_is_found_by_the_program_that_the_page_names() {
    if let Ok(named) = std::env::var("SESSION_TEST_WRITE") {
        write_page(&named);
    }
    let page = fs::read_to_string(PAGE).expect("the page can be read");
    let lines: BTreeMap<_, _> = page.lines().filter_map(line).collect();
    let mut wrong = Vec::new();
    for ways in all() {
        let (what, _) = ways[0].cells();
        let named = ways
            .iter()
            .find_map(|it| Some((it, lines.get(&it.cells())?)));
        let is_meant =
            |(state, event, _): &&(&str, &str, &str)| what == format!("{state}, {event}");
        match named {
            None if NOT_JUDGED.iter().any(|it| is_meant(&it)) => {}
            None => wrong.push(format!("{what}: the page does not name it")),
            Some((way, (promise, seed))) => {
                let found = |_| way.promises(&Bench::new(), *seed);
                let named = |it: &Vec<Promise>| it.iter().any(|it| format!("{it:?}") == *promise);
                // Which keys share a queue and how long a pause is are random.
                if !(0..20).map(found).any(|it| named(&it)) {
                    wrong.push(format!("{way:?}: program {seed} does not break {promise}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "write the page anew with SESSION_TEST_WRITE=1:\n{}",
        wrong.join("\n")
    );
}

/// What a line of the page says: what is broken, to what; the promise, and the program.
fn line(line: &str) -> Option<((String, String), (String, u64))> {
    let mut cells = line
        .strip_prefix('|')?
        .split('|')
        .map(|it| it.trim().replace('`', ""));
    let (what, to) = (cells.next()?, cells.next()?);
    let (promise, seed) = (cells.next()?, cells.next()?);
    Some(((what, to), (promise, seed.parse().ok()?)))
}

/// Writes the lines whose first cell contains `named` anew.
fn write_page(named: &str) {
    panic::set_hook(Box::new(|_| {}));
    let mut all = all();
    all.retain(|ways| ways[0].cells().0.contains(named));
    let next = AtomicUsize::new(0);
    let search = || {
        let bench = Bench::new();
        let mut found = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(ways) = all.get(number) else {
                return found;
            };
            // The break that is found first.
            let by = |programs| {
                let find = |way: &'_ Break| Some((way.clone(), way.first_found(&bench, programs)?));
                let found = ways.iter().find_map(find);
                eprintln!("{:?} in {programs}: {found:?}", ways[0].cells().0);
                found
            };
            found.push((
                number,
                by(1_000).or_else(|| by(10_000)).or_else(|| by(PROGRAMS)),
            ));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut found: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        let workers = workers.into_iter();
        workers
            .flat_map(|it| it.join().expect("nothing panics"))
            .collect()
    });
    drop(panic::take_hook());
    found.sort_by_key(|it| it.0);
    let page = fs::read_to_string(PAGE).expect("the page can be read");
    let head = page.find("|---|---|---|").expect("the page has a table");
    let head = head + page[head..].find('\n').expect("a line ends") + 1;
    let mut table = String::new();
    for old in page[head..].lines() {
        if line(old).is_some_and(|((what, _), _)| !what.contains(named)) {
            table += old;
            table.push('\n');
        }
    }
    for (number, found) in found {
        match found {
            Some((way, (seed, promise))) => {
                let (what, to) = way.cells();
                writeln!(table, "| {what} | `{to}` | {promise:?} | {seed} |")
                    .expect("a string can be written");
            }
            None => eprintln!("not found: {:?}", all[number][0].cells().0),
        }
    }
    let head = &page[..head];
    fs::write(PAGE, format!("{head}{table}")).expect("the page can be written");
}

#[test]
fn only_a_browser_that_obeys_max_age_sees_that_cookies_are_not_renewed() {
    let rule = Break::Rule(Rule::CookieHasItsOwnEnd);
    let found = rule.first_found(&Bench::new(), PROGRAMS);
    let (seed, promise) = found.expect("it is found");
    assert_eq!(promise, Promise::LoggedIn);
    let mut lenient = Bench::new();
    lenient.browser_ignores_max_age = true;
    assert_eq!(rule.promises(&lenient, seed), []);
}
