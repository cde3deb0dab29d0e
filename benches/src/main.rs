//! Compares this project's sessions with those of other libraries, on the same server in one run.
//! See the README.

mod bar;
mod candidate;
mod chart;
mod contest;
mod contestant;
mod core;
mod cpu;
mod figures;
mod load;
mod memory;
mod plan;
mod profile;
mod record;
mod report;
mod route;
mod serve;
mod visitor;

use std::{error::Error, path::PathBuf, process::ExitCode};

use candidate::Candidate;
use contest::Contest;
use plan::Plan;
use tokio::runtime::{Builder, Runtime};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const USAGE: &str = "bench [chart FILE] [redis|axum|memcached|mongo|files|postgres|sqlite|sql|before PROGRAM]... \
                     [rounds [visitors]], or profile [redis|memcached|files], or memory [sessions] \
                     [redis|postgres|sqlite|sql|files]...: without words all contests, 36 rounds, all rows; the \
                     profile of Redis; 1000000 sessions in each store";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["serve", candidate, address, core] => serve(candidate, address, core).map(|()| true),
        ["profile"] => profile(&Contest::Redis).map(|()| true),
        ["profile", store] => profile_of(store).map(|()| true),
        ["memory"] => measure_memory("1000000", &[]),
        ["memory", sessions, stores @ ..] => measure_memory(sessions, stores),
        words => compare(words),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// What a process of one contestant does; see [`contestant`].
fn serve(candidate: &str, address: &str, core: &str) -> Result<()> {
    core::stay_on(&[core.parse()?])?;
    serve::run(candidate.parse::<Candidate>()?, address)
}

/// Runs the contests and says whether every bar was met.
fn compare(words: &[&str]) -> Result<bool> {
    let mut contests = Vec::new();
    let mut numbers = Vec::new();
    let mut chart = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == "chart" {
            chart = Some(PathBuf::from(words.next().ok_or(USAGE)?));
            continue;
        }
        if *word == "before" {
            let program = words.next().ok_or(USAGE)?;
            contests.push(Contest::Before(program.into()));
            continue;
        }
        match (Contest::named(word), word.parse()) {
            (Some(named), _) => contests.extend(named),
            (None, Ok(number)) => numbers.push(number),
            (None, Err(_)) => return Err(USAGE.into()),
        }
    }
    if contests.is_empty() {
        contests = Contest::ALL.to_vec();
    }
    let mut plan = on_cores()?;
    match *numbers {
        [] => {}
        [rounds] => plan.rounds = rounds,
        [rounds, visitors] => (plan.rounds, plan.visitors) = (rounds, Some(visitors)),
        _ => return Err(USAGE.into()),
    }
    contests.retain(|contest| contest.has_rows(plan));
    if plan.rounds == 0 || contests.is_empty() {
        return Err("nothing would be measured: name another number of rounds or visitors".into());
    }
    if chart.is_some() && contests.len() != 1 {
        return Err("a chart shows one contest: name it".into());
    }
    let runtime = runtime()?;
    let mut met = true;
    for contest in contests {
        met &= runtime.block_on(contest.run(plan, chart.as_deref()))?;
    }
    Ok(met)
}

/// Fills the stores with so many sessions, and says whether the bar of their size was met.
fn measure_memory(sessions: &str, stores: &[&str]) -> Result<bool> {
    let mut contests = Vec::new();
    for store in stores {
        contests.extend(Contest::named(store).ok_or(USAGE)?);
    }
    if contests.is_empty() {
        contests = memory::STORES.to_vec();
    }
    let plan = on_cores()?;
    runtime()?.block_on(memory::print(plan, sessions.parse()?, &contests))
}

fn profile_of(store: &str) -> Result<()> {
    match Contest::named(store).as_deref() {
        Some([contest]) => profile(contest),
        _ => Err(USAGE.into()),
    }
}

/// Prints where the instructions of a request go.
fn profile(contest: &Contest) -> Result<()> {
    let plan = on_cores()?;
    runtime()?.block_on(profile::print(plan, contest))
}

/// Keeps this process on all cores but that of the program that is measured.
fn on_cores() -> Result<Plan> {
    let cores = core::available()?;
    let (ours, others) = match cores.as_slice() {
        [only] => (*only, vec![*only]),
        [first, others @ ..] => (*first, others.to_vec()),
        [] => return Err("the system names no processor core".into()),
    };
    core::stay_on(&others)?;
    println!("the program measured: core {ours}; its store and its visitors: core {others:?}");
    Ok(Plan::on(ours))
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
