//! The commands of this project, run as `cargo xtask <command>`.
// A command's report is its output.
#![allow(clippy::print_stdout)]

mod apt;
#[cfg(feature = "browser")]
mod browser;
mod ci;
mod compose;
mod costs;
mod deny;
mod fuzz;
mod given;
mod lean;
mod lines;
mod matrix;
mod oldest;
mod ops;
#[cfg(feature = "owners")]
mod owners;
// The harness of the tests has the same rules.
#[path = "../../tests/src/own_server.rs"]
mod own_server;
mod package;
mod paths;
mod python;
mod readme;
mod servers;
mod setup;
mod smoke;
mod steps;
mod test_run;
mod tests;
mod trees;

use std::process::ExitCode;

use given::Given;
use steps::{StepResult, Steps};

const USAGE: &str = "cargo xtask <command>

  setup    installs what the tests need: on Debian as root by itself, otherwise it names the line to run. And builds
           the programs that tests run. After it, `cargo test -p CRATE --all-features` works by itself
  test     set-up, then every test; further words go to cargo test in place of --workspace
           --compose first: against the services of docker-compose.yml; then further words name packages
  ci       all that has to pass: format, lints, tests, costs, documentation, licences, packages, demo, browser
  soak     the tests with 1,000 rounds of each race and kill and 10 million random programs, then `matrix`, ten minutes
           of each fuzz target, and `browser quota`; further words as for test, and then the tests alone
  matrix   the tests of each store on the oldest and the newest version of its server that Debian has, or on those
           that further words name
  fuzz     each fuzz target for as many seconds as a further word says, or those that still further words name
  http-state  the cookie tests of the http-state working group, from the checkout that a further word names
  browser  drives the demo in headless Chromium; pictures in target/browser
           quota: proves a device more often than browsers allow, up to fifteen minutes
  quickstart  the README's first program, from an empty folder to a logged-in browser, on Redis, memcached, files,
           MongoDB and SQLite, with the configurations of Flask-Session's tutorials
  bench    this library beside others and beside code by hand: benches/README.md has the further words
  owners   a user with very many sessions: time of lists and log-outs on each store; further words: log-ins and
           log-outs (100000), live sessions (1000), stores (all)
  costs    instructions of one request of each kind; a further word names another checkout to compare with
           check: compares with the figures that are written down, as CI does; renew: writes them down
  lean     what a first build of the README's program costs beside actix-session; a further word: rounds (1)
  oldest   builds each crate with the oldest Rust that its Cargo.toml names
  ops      checks and tests the alert rules by promtool, and the names of metrics in ops/; with a checkout
           of github.com/grafana/grafana-foundation-sdk, also the dashboard by Grafana's schemas
  lines    code lines of each crate without tests and comments; a further word as for costs";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut steps = Steps::default();
    let outcome = match words.as_slice() {
        ["setup"] => setup::everything(&mut steps).and_then(|()| tests::build_programs(&mut steps)),
        ["test", "--compose", rest @ ..] => compose::test(&mut steps, rest),
        ["test", rest @ ..] => tests::run(&mut steps, rest),
        ["soak", rest @ ..] => tests::soak(&mut steps, rest),
        ["matrix", names @ ..] => matrix::run(&mut steps, names, &[]),
        ["ci"] => ci::run(&mut steps),
        ["fuzz", seconds, names @ ..] if let Ok(seconds) = seconds.parse() => {
            fuzz::run(&mut steps, seconds, names)
        }
        ["http-state", checkout] => tests::http_state(&mut steps, checkout),
        ["bench", words @ ..] => bench(&mut steps, words),
        ["owners", words @ ..] => owners(&mut steps, words),
        ["browser"] => browser(&mut steps, &[]),
        ["browser", "quota"] => browser(&mut steps, &["quota"]),
        ["quickstart"] => quickstart(&mut steps),
        ["costs"] => costs::run(&mut steps, None),
        ["costs", "check"] => costs::guard::check(&mut steps),
        ["costs", "renew"] => costs::guard::renew(&mut steps),
        ["costs", checkout] => costs::run(&mut steps, Some(checkout)),
        ["lean"] => lean::run(&mut steps, 1),
        ["lean", rounds] if let Ok(rounds) = rounds.parse() => lean::run(&mut steps, rounds),
        ["oldest"] => oldest::run(&mut steps),
        ["ops"] => ops::check(&mut steps),
        ["ops", checkout] => ops::check_schema(&mut steps, checkout),
        ["lines"] => lines::run(&mut steps, None),
        ["lines", checkout] => lines::run(&mut steps, Some(checkout)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    steps.summary(&outcome);
    if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A workspace of its own. It finds what the set-up has installed in the target directory that it is built in.
fn bench(steps: &mut Steps, words: &[&str]) -> StepResult {
    Given::refuse()?;
    let manifest = "benches/Cargo.toml";
    let mut run = paths::cargo(&["run", "--release", "--locked", "--manifest-path", manifest]);
    run.arg("--target-dir").arg(paths::target());
    steps.command("bench", run.arg("--").args(words))
}

#[cfg(feature = "browser")]
fn browser(steps: &mut Steps, words: &[&str]) -> StepResult {
    Given::refuse()?;
    setup::browser(steps)?;
    if words == ["quota"] {
        let what = "a device proved too often, in headless Chromium";
        return steps.check("browser", what, browser::quota);
    }
    steps.check("browser", "the demo in headless Chromium", browser::run)
}

#[cfg(feature = "browser")]
fn quickstart(steps: &mut Steps) -> StepResult {
    Given::refuse()?;
    setup::quickstart(steps)?;
    let what = "the README's first program, on five stores, in headless Chromium";
    steps.check("quickstart", what, browser::quickstart)
}

#[cfg(feature = "owners")]
fn owners(steps: &mut Steps, words: &[&str]) -> StepResult {
    Given::refuse()?;
    setup::tests(steps, &[])?;
    steps.check("owners", "a user with very many sessions", || {
        owners::run(words)
    })
}

/// Built anew, with the stores in it and optimised.
#[cfg(not(feature = "owners"))]
fn owners(steps: &mut Steps, words: &[&str]) -> StepResult {
    Given::refuse()?;
    let mut run = paths::cargo(&[
        "run",
        "--release",
        "--package",
        "xtask",
        "--features",
        "owners",
    ]);
    steps.command("owners", run.args(["--", "owners"]).args(words))
}

#[cfg(not(feature = "browser"))]
fn browser(steps: &mut Steps, words: &[&str]) -> StepResult {
    Given::refuse()?;
    // The programs that the browser visits, too.
    tests::build(steps)?;
    with_driver(steps, "browser", words)
}

/// Nothing else of the workspace is needed, so nothing else is built.
#[cfg(not(feature = "browser"))]
fn quickstart(steps: &mut Steps) -> StepResult {
    Given::refuse()?;
    let mut build = paths::cargo(&["build", "--package", "xtask", "--features", "browser"]);
    steps.command("build", &mut build)?;
    with_driver(steps, "quickstart", &[])
}

/// Runs this program as it was built anew, with the driver of the browser in it.
#[cfg(not(feature = "browser"))]
fn with_driver(steps: &mut Steps, command: &'static str, words: &[&str]) -> StepResult {
    let mut run = std::process::Command::new(paths::built("xtask"));
    steps.command(command, run.arg(command).args(words))
}
