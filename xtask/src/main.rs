//! The commands of this project, run as `cargo xtask <command>`.
// A command's report is its output.
#![allow(clippy::print_stdout)]

mod apt;
#[cfg(feature = "browser")]
mod browser;
mod ci;
mod costs;
mod deny;
mod lines;
mod package;
mod paths;
mod python;
mod setup;
mod smoke;
mod steps;
mod tests;
mod trees;

use std::process::ExitCode;

use steps::{Outcome, Steps};

const USAGE: &str = "cargo xtask <command>

  setup    installs what the tests need: on Debian as root by itself, otherwise it names the line to run
  test     set-up, then every test; further words go to cargo test in place of --workspace
  ci       all that has to pass: format, lints, tests, documentation, licences, packages, demo, browser
  soak     the tests with 1,000 rounds of each race and kill and 10 million random programs; further words as for test
  browser  drives the demo in headless Chromium; pictures in target/browser
  costs    instructions of one request of each kind; a further word names another checkout to compare with
  lines    code lines of each crate without tests and comments; a further word as for costs";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut steps = Steps::default();
    let outcome = match words.as_slice() {
        ["setup"] => setup::everything(&mut steps),
        ["test", rest @ ..] => tests::run(&mut steps, rest),
        ["soak", rest @ ..] => tests::soak(&mut steps, rest),
        ["ci"] => ci::run(&mut steps),
        ["browser"] => browser(&mut steps),
        ["costs"] => costs::run(&mut steps, None),
        ["costs", checkout] => costs::run(&mut steps, Some(checkout)),
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

#[cfg(feature = "browser")]
fn browser(steps: &mut Steps) -> Outcome {
    setup::browser(steps)?;
    steps.check("browser", "the demo in headless Chromium", browser::run)
}

/// Built anew with the driver in it.
#[cfg(not(feature = "browser"))]
fn browser(steps: &mut Steps) -> Outcome {
    tests::build(steps)?;
    steps.command(
        "browser",
        std::process::Command::new(paths::built("xtask")).arg("browser"),
    )
}
