//! Instructions for each kind of request: `cargo xtask costs`.

use std::path::Path;
use std::process::Command;

use crate::paths::root;
use crate::setup;
use crate::steps::{StepResult, Steps};

/// The kinds of request that `crates/session-actix/examples/request_cost.rs` knows; the first
/// has no sessions at all.
const KINDS: &[&str] = &[
    "without",
    "untouched",
    "guarded",
    "read",
    "change",
    "encrypted-read",
    "flask-read",
];
const FEW: u32 = 200;
const MANY: u32 = 1200;

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
    KINDS
        .iter()
        .map(|kind| per_request(checkout, kind))
        .collect()
}

/// The difference between many requests and few, so that starting and stopping do not count.
fn per_request(checkout: &Path, kind: &str) -> Result<f64, String> {
    let few = instructions(checkout, kind, FEW)?;
    let many = instructions(checkout, kind, MANY)?;
    Ok((many - few) / f64::from(MANY - FEW))
}

fn instructions(checkout: &Path, kind: &str, requests: u32) -> Result<f64, String> {
    const RUNNER: &str =
        "target.'cfg(all())'.runner = 'valgrind --tool=callgrind --callgrind-out-file=/dev/null'";
    let mut run = Command::new("cargo");
    run.args(["run", "--quiet", "--release", "--locked"])
        .args(["--package", "session-actix", "--example", "request_cost"])
        .args(["--config", RUNNER, "--", kind, &requests.to_string()])
        .current_dir(checkout);
    let output = run.output().map_err(|error| format!("cargo: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, instructions)| instructions.trim().parse().ok());
    collected
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("{} {kind}: {report}", checkout.display()))
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
