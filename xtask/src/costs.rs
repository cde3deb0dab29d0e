//! Instructions for each kind of request: `cargo xtask costs`.

pub(crate) mod guard;

use std::path::Path;
use std::process::Command;

use crate::paths::root;
use crate::setup;
use crate::steps::{StepResult, Steps};

/// An example of an adapter that sends one kind of request again and again, and the kinds that it
/// knows.
struct Program {
    package: &'static str,
    example: &'static str,
    /// Those that end with `without` have no sessions at all.
    kinds: &'static [&'static str],
}

const PROGRAMS: &[Program] = &[
    Program {
        package: "session-actix",
        example: "request_cost",
        kinds: &[
            "without",
            "untouched",
            "guarded",
            "read",
            "change",
            "encrypted-read",
            "flask-read",
        ],
    },
    Program {
        package: "session-tower",
        example: "axum_cost",
        kinds: &[
            "without",
            "untouched",
            "untouched-by-route",
            "guarded",
            "read",
            "change",
        ],
    },
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
        "each kind of request under callgrind, sessions in memory",
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
    let mut costs = Vec::new();
    for program in PROGRAMS {
        let optimised = || {
            let mut run = Command::new("cargo");
            run.args(["run", "--quiet", "--release", "--locked"])
                .args(["--package", program.package, "--example", program.example])
                .args(["--config", &runner, "--"])
                .current_dir(checkout);
            run
        };
        for kind in program.kinds {
            costs.push(per_request(optimised, kind)?);
        }
    }
    Ok(costs)
}

/// What the figures of [`measure`] are called.
fn names() -> impl Iterator<Item = String> {
    let of = |program: &'static Program| {
        let names = program.kinds.iter();
        names.map(move |kind| format!("{}, {kind}", program.package))
    };
    PROGRAMS.iter().flat_map(of)
}

/// The difference between many requests and few, so that starting and stopping do not count.
/// `command` runs one of the [`PROGRAMS`] under callgrind.
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
        for (name, now) in names().zip(now) {
            println!("| {name} | {now:.0} |");
        }
        return;
    };
    println!("\n| request | instructions there | here | ratio |\n|---|---:|---:|---:|");
    for ((name, before), now) in names().zip(before).zip(now) {
        println!("| {name} | {before:.0} | {now:.0} | {:.3} |", now / before);
    }
}
