//! The tests of each store on other versions of its server: `cargo xtask matrix`.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::paths::cargo;
use crate::servers::{ServerVersion, VERSIONS};
use crate::steps::{StepResult, Steps, output};

/// What is the newest of each server, and not the one that the other tests run on. CI is to take at
/// most 35 minutes, so `PostgreSQL` and MariaDB, whose newest differ least from their oldest, run in
/// `cargo xtask matrix` alone.
const NEWEST: &[&str] = &["valkey-9.1", "memcached-1.6.45", "mysql-9.7"];

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
            let (of_run, result) = counted(&mut tests)?;
            passed += of_run.0;
            failed += of_run.1;
            failures.extend(result.err());
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

/// Runs tests, shows their output, and counts those that passed and those that failed.
fn counted(tests: &mut Command) -> Result<((u32, u32), StepResult), String> {
    let failure = |error: io::Error| format!("cargo test: {error}");
    let mut run = tests.stdout(Stdio::piped()).spawn().map_err(failure)?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(run.stdout.take().expect("it is piped")).lines() {
        let line = line.map_err(failure)?;
        if let Some((more_passed, more_failed)) = counts(&line) {
            passed += more_passed;
            failed += more_failed;
        }
        writeln!(io::stdout(), "{line}").map_err(failure)?;
    }
    let status = run.wait().map_err(failure)?;
    let result = match (status.success(), passed) {
        (true, 0) => Err("no test has run".to_owned()),
        (true, _) => Ok(()),
        (false, _) => Err(format!("{failed} tests failed ({status})")),
    };
    Ok(((passed, failed), result))
}

/// The numbers of the line that ends each test program's output.
fn counts(line: &str) -> Option<(u32, u32)> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |name: &str| {
        let before = rest.split(name).next()?;
        before.rsplit([' ', ';']).next()?.parse().ok()
    };
    Some((number(" passed")?, number(" failed")?))
}

fn today() -> Result<String, String> {
    let mut date = Command::new("date");
    output(date.arg("+%F")).map(|day| day.trim().to_owned())
}
