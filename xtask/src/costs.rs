//! Instructions for each kind of request: `cargo xtask costs`.

pub(crate) mod guard;

use std::path::Path;
use std::process::Command;

use crate::paths::root;
use crate::setup;
use crate::steps::{StepResult, Steps};

/// The kinds of request that `crates/session-actix/examples/request_cost` knows; the first has no
/// sessions at all.
const KINDS: &[&str] = &[
    "without",
    "untouched",
    "guarded",
    "read",
    "change",
    "encrypted-read",
    "flask-read",
];
const FEW: u32 = 100;
const MANY: u32 = 600;

const CALLGRIND: [&str; 2] = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];

/// What one request of each kind costs in instructions, beside that of another checkout if one is
/// named.
///
/// Instructions and not seconds, because they are the same on a busy machine.
pub(crate) fn run(steps: &mut Steps, other: Option<&str>) -> StepResult {
    setup::costs(steps)?;
    steps.check(
        "costs",
        "request_cost under callgrind, sessions in memory",
        || {
            let other = other.map(Path::new);
            let before = other.map(measure).transpose()?;
            print(before.as_deref(), &measure(root())?);
            Ok(())
        },
    )
}

fn measure(checkout: &Path) -> Result<Vec<f64>, String> {
    let runner = format!(
        "target.'cfg(all())'.runner = 'valgrind {}'",
        CALLGRIND.join(" ")
    );
    let optimised = || {
        let mut run = Command::new("cargo");
        run.args(["run", "--quiet", "--release", "--locked"])
            .args(["--package", "session-actix", "--example", "request_cost"])
            .args(["--config", &runner, "--"])
            .current_dir(checkout);
        run
    };
    KINDS
        .iter()
        .map(|kind| per_request(optimised, kind))
        .collect()
}

/// The difference between many requests and few, so that starting and stopping do not count.
/// `command` runs `request_cost` under callgrind.
fn per_request(command: impl Fn() -> Command, kind: &str) -> Result<f64, String> {
    let few = instructions(command(), kind, FEW)?;
    let many = instructions(command(), kind, MANY)?;
    Ok((many - few) / f64::from(MANY - FEW))
}

fn instructions(mut command: Command, kind: &str, requests: u32) -> Result<f64, String> {
    command.args([kind, &requests.to_string()]);
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, instructions)| instructions.trim().parse().ok());
    collected
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("{command:?}: {report}"))
}

fn print(before: Option<&[f64]>, now: &[f64]) {
    let Some(before) = before else {
        println!("\n| request | instructions |\n|---|---:|");
        for (kind, now) in KINDS.iter().zip(now) {
            println!("| {kind} | {now:.0} |");
        }
        return;
    };
    println!("\n| request | instructions there | here | ratio |\n|---|---:|---:|---:|");
    for ((kind, before), now) in KINDS.iter().zip(before).zip(now) {
        println!("| {kind} | {before:.0} | {now:.0} | {:.3} |", now / before);
    }
}
