//! Whether a request costs as many instructions as before: `cargo xtask costs check`.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::{CALLGRIND, per_request};
use crate::paths::{built, root};
use crate::steps::{StepResult, Steps, output};
use crate::{setup, tests};

/// Each kind of request, and the same without sessions.
const KINDS: &[(&str, &str)] = &[
    ("untouched", "without"),
    ("read", "read-without"),
    ("change", "change-without"),
];

/// The examples that send them, and what the file calls their figures.
const PROGRAMS: &[(&str, &str)] = &[("request_cost", "actix"), ("axum_cost", "axum")];

/// Percent by which a figure may differ from the one that is written down.
const TOLERANCE: f64 = 2.0;

const FILE: &str = "xtask/src/costs/expected.txt";

const HEAD: &str = "\
# Instructions of one request beyond the same request without sessions, in the dev profile.
# `cargo xtask costs renew` writes this file, `cargo xtask costs check` compares with it.
";

/// Compares each request with the figure that is written down. Builds nothing: CI has built it all
/// for the tests.
///
/// The figures are those of the dev profile, so that CI need not build a second one. They are not
/// the cost in production, because `session-core` is optimised in this profile and the adapters
/// are not; but they change whenever that cost does. Ids and hash seeds are random and change them
/// by less than one instruction. Without the request itself they are ten times as sensitive.
pub(crate) fn compare(steps: &mut Steps) -> StepResult {
    setup::costs(steps)?;
    steps.check(
        "costs",
        "instructions of a request, beside those of before",
        || {
            let path = root().join(FILE);
            let expected = fs::read_to_string(&path).map_err(|error| format!("{FILE}: {error}"))?;
            judge(&expected, &compiler()?, &measure()?)
        },
    )
}

/// Builds all that the tests need, so with the same Cargo features as in CI, and compares.
pub(crate) fn check(steps: &mut Steps) -> StepResult {
    tests::build(steps)?;
    compare(steps)
}

/// The same, but writes the figures down.
pub(crate) fn renew(steps: &mut Steps) -> StepResult {
    setup::costs(steps)?;
    tests::build(steps)?;
    steps.check("costs", "instructions of a request, written down", || {
        let mut text = format!("{HEAD}{}\n", compiler()?);
        for (name, instructions) in measure()? {
            let _ = writeln!(text, "{name} {instructions:.0}");
        }
        print!("{text}");
        fs::write(root().join(FILE), text).map_err(|error| format!("{FILE}: {error}"))
    })
}

fn measure() -> Result<Vec<(String, f64)>, String> {
    let mut figures = Vec::new();
    for (program, name) in PROGRAMS {
        let program = built(&format!("examples/{program}"));
        let command = || {
            let mut run = Command::new("valgrind");
            run.args(CALLGRIND).arg(&program);
            run
        };
        for (kind, without) in KINDS {
            let instructions = per_request(command, kind)? - per_request(command, without)?;
            figures.push((format!("{name}-{kind}"), instructions));
        }
    }
    Ok(figures)
}

/// Other compilers and processors need other instructions.
fn compiler() -> Result<String, String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let field = |name| {
        let line = version.lines().find_map(|line| line.strip_prefix(name));
        line.ok_or_else(|| format!("rustc -vV has no {name:?}"))
    };
    Ok(format!(
        "compiler rustc-{}-{}",
        field("release: ")?,
        field("host: ")?
    ))
}

fn judge(expected: &str, compiler: &str, now: &[(String, f64)]) -> StepResult {
    let renew = format!("if that is meant, write it down: cargo xtask costs renew ({FILE})");
    let written = |name: &str| {
        let line = expected
            .lines()
            .find(|it| it.split(' ').next() == Some(name));
        line.ok_or_else(|| format!("{FILE} has no line for {name}; {renew}"))
    };
    let theirs = written("compiler")?;
    if theirs != compiler {
        return Err(format!(
            "the figures are those of {theirs}, not of {compiler}; {renew}"
        ));
    }
    let mut differ = Vec::new();
    for (name, now) in now {
        let before = written(name)?
            .split(' ')
            .nth(1)
            .and_then(|it| it.parse().ok());
        let before: f64 = before.ok_or_else(|| format!("{FILE}: no number for {name}; {renew}"))?;
        let percent = (now / before - 1.0) * 100.0;
        println!("{name}: {now:.0} instructions, written down {before:.0}, {percent:+.2} %");
        if percent.abs() > TOLERANCE {
            differ.push(format!(
                "{name} costs {percent:+.1} % instructions, {now:.0} and not {before:.0}"
            ));
        }
    }
    if differ.is_empty() {
        return Ok(());
    }
    Err(format!("{}; {renew}", differ.join(", ")))
}

#[cfg(test)]
mod judge_tests {
    use super::judge;

    const EXPECTED: &str = "# A comment.\ncompiler rustc-1\nread 1000\nchange 2000\n";

    #[test]
    fn a_difference_of_more_than_two_percent_is_an_error_that_names_the_command() {
        let now = |name: &str, instructions| (name.to_owned(), instructions);
        let judged = |compiler, read| {
            let figures = [now("change", 2000.0), now("read", read)];
            judge(EXPECTED, compiler, &figures)
        };
        assert_eq!(judged("compiler rustc-1", 1019.0), Ok(()));
        assert_eq!(judged("compiler rustc-1", 981.0), Ok(()));
        for read in [1021.0, 979.0] {
            let error = judged("compiler rustc-1", read).unwrap_err();
            assert!(
                error.contains("read costs") && !error.contains("change costs"),
                "{error}"
            );
            assert!(error.contains("cargo xtask costs renew"), "{error}");
        }
        let error = judged("compiler rustc-2", 1000.0).unwrap_err();
        assert!(
            error.contains("rustc-2") && error.contains("cargo xtask costs renew"),
            "{error}"
        );
        let error = judge(EXPECTED, "compiler rustc-1", &[now("untouched", 1.0)]).unwrap_err();
        assert!(error.contains("no line for untouched"), "{error}");
    }
}
