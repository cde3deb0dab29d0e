//! Compares this project's sessions with those of other libraries, on the same server in one run.
//! See the README.

mod bar;
mod candidate;
mod contest;
mod contestant;
mod core;
mod cpu;
mod figures;
mod load;
mod plan;
mod record;
mod report;
mod route;
mod serve;
mod visitor;

use std::{error::Error, process::ExitCode};

use candidate::Candidate;
use contest::Contest;
use plan::Plan;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const USAGE: &str = "bench [redis|memcached|postgres|sqlite|sql|before PROGRAM]... [rounds [visitors]]: \
                     all but the last, 9 rounds and all rows unless told";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["serve", candidate, address, core] => serve(candidate, address, core).map(|()| true),
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
    let mut words = words.iter();
    while let Some(word) = words.next() {
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
    let cores = core::available()?;
    let (ours, others) = match cores.as_slice() {
        [only] => (*only, vec![*only]),
        [first, others @ ..] => (*first, others.to_vec()),
        [] => return Err("the system names no processor core".into()),
    };
    core::stay_on(&others)?;
    let mut plan = Plan::on(ours);
    match *numbers {
        [] => {}
        [rounds] => plan.rounds = rounds,
        [rounds, visitors] => (plan.rounds, plan.visitors) = (rounds, Some(visitors)),
        _ => return Err(USAGE.into()),
    }
    println!("the program measured: core {ours}; its store and its visitors: core {others:?}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut met = true;
    for contest in contests {
        met &= runtime.block_on(contest.run(plan))?;
    }
    Ok(met)
}
