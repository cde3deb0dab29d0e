//! The tests of each store on other versions of its server: `cargo xtask matrix`.

use std::process::Command;

use crate::paths::cargo;
use crate::servers::{ServerVersion, VERSIONS};
use crate::steps::{StepResult, Steps, output};
use crate::test_run;

/// What is the newest of each server, and not the one that the other tests run on. CI is to take at
/// most 35 minutes, so those that differ least from others run in `cargo xtask matrix` alone:
/// `PostgreSQL` and MariaDB from their oldest, Valkey from Redis 8.6, which knows `IFEQ` too.
const NEWEST: &[&str] = &[
    "redis-8.6",
    "memcached-1.6.45",
    "mysql-9.7",
    "pgbouncer-1.26",
];

/// The newest of most servers; the oldest is what Debian 12 has, where all tests run.
pub(crate) fn newest(steps: &mut Steps) -> StepResult {
    run(steps, NEWEST)
}

/// Runs the tests on the versions that `names` select by the beginnings of their names, or on all,
/// and prints the table for the README.
pub(crate) fn run(steps: &mut Steps, names: &[&str]) -> StepResult {
    let selected: Vec<_> = VERSIONS
        .iter()
        .filter(|it| names.is_empty() || names.iter().any(|name| it.name.starts_with(name)))
        .collect();
    if selected.is_empty() {
        let known: Vec<_> = VERSIONS.iter().map(|it| it.name).collect();
        return Err(format!("known versions: {}", known.join(", ")));
    }
    let mut rows = vec![];
    let mut failures = vec![];
    for server in selected {
        let row = server.fetch(steps).and_then(|()| test(steps, server));
        match row {
            Ok(row) => rows.push(row),
            Err(error) => failures.push(format!("{}: {error}", server.name)),
        }
    }
    println!("\n| server | tests | passed | failed | on |\n|---|---|---|---|---|");
    for row in rows {
        println!("{row}");
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n"))
    }
}

/// Runs the tests on one version, and says how many passed.
fn test(steps: &mut Steps, server: &ServerVersion) -> Result<String, String> {
    let version = server.version()?;
    let package = server.tests.package;
    let what = format!("{package} on {} {version}", server.name);
    let (mut passed, mut failed) = (0, 0);
    let outcome = steps.check("matrix", &what, || {
        let mut failures = vec![];
        for words in server.tests.runs {
            let mut tests = cargo(&["test", "--no-fail-fast"]);
            tests
                .args(*words)
                .env("SESSION_TEST_SERVERS", server.folder());
            let outcome = test_run::run(&mut tests)?;
            passed += outcome.counts.passed;
            failed += outcome.counts.failed;
            print!("{}", outcome.late);
            failures.extend(outcome.result.err());
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures.join("\n"))
        }
    });
    let row = format!(
        "| {} | {package} | {passed} | {failed} | {} |",
        server.label(&version),
        today()?
    );
    match outcome {
        Ok(()) => Ok(row),
        Err(error) => Err(format!("{error}\n{row}")),
    }
}

fn today() -> Result<String, String> {
    let mut date = Command::new("date");
    output(date.arg("+%F")).map(|day| day.trim().to_owned())
}
