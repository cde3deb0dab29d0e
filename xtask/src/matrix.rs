//! The tests of each store on other versions of its server: `cargo xtask matrix`.

use std::process::Command;

use crate::given::Given;
use crate::paths::cargo;
use crate::servers::{ServerVersion, VERSIONS};
use crate::steps::{StepResult, Steps, output};
use crate::test_run;

/// The servers with which the code goes another way than with those of Debian 12, where all tests run:
/// a Redis that compares in its `SET`, a genuine `MySQL`, a pooler. CI is to take at most 35 minutes,
/// so the others run in `cargo xtask matrix` alone.
const IN_CI: &[&str] = &["redis-8.6", "mysql-9.7", "pgbouncer-1.26"];

/// The tests on some of the servers, as far as they are compiled already.
pub(crate) fn in_ci(steps: &mut Steps) -> StepResult {
    run_if(steps, IN_CI, &[], |words| words.contains(&"--workspace"))
}

/// Runs the tests, with the variables `env`, on the versions that `names` select by the beginnings of
/// their names, or on all, and prints the table for the README.
pub(crate) fn run(steps: &mut Steps, names: &[&str], env: &[(&str, &str)]) -> StepResult {
    run_if(steps, names, env, |_| true)
}

/// `is_run` decides by the words for `cargo test`.
fn run_if(
    steps: &mut Steps,
    names: &[&str],
    env: &[(&str, &str)],
    is_run: fn(&[&str]) -> bool,
) -> StepResult {
    Given::refuse()?;
    let selected = selected(names)?;
    let mut rows = vec![];
    let mut failures = vec![];
    for server in selected {
        let row = server.fetch(steps);
        let row = row.and_then(|()| test(steps, server, env, is_run));
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

/// Those of which a name begins with one of `names`, or all.
///
/// # Errors
///
/// If a name is of none.
fn selected(names: &[&str]) -> Result<Vec<&'static ServerVersion>, String> {
    let is_of = |it: &ServerVersion, name: &str| !name.is_empty() && it.name.starts_with(name);
    let is_unknown = |name: &&&str| !VERSIONS.iter().any(|it| is_of(it, name));
    if let Some(unknown) = names.iter().find(is_unknown) {
        let known: Vec<_> = VERSIONS.iter().map(|it| it.name).collect();
        let known = known.join(", ");
        return Err(format!("there is no {unknown:?}; known versions: {known}"));
    }
    let is_meant =
        |it: &&ServerVersion| names.is_empty() || names.iter().any(|name| is_of(it, name));
    Ok(VERSIONS.iter().filter(is_meant).collect())
}

/// A run of the tests on one version.
fn tests_on(server: &ServerVersion, words: &[&str], env: &[(&str, &str)]) -> Command {
    let mut tests = cargo(&["test", "--no-fail-fast"]);
    tests.args(words).envs(env.iter().copied());
    tests.env("SESSION_TEST_SERVERS", server.folder());
    tests
}

/// Runs the tests on one version, and says how many passed.
fn test(
    steps: &mut Steps,
    server: &ServerVersion,
    env: &[(&str, &str)],
    is_run: fn(&[&str]) -> bool,
) -> Result<String, String> {
    let version = server.version()?;
    let package = server.tests.package;
    let what = format!("{package} on {} {version}", server.name);
    let (mut passed, mut failed) = (0, 0);
    let outcome = steps.check("matrix", &what, || {
        let mut failures = vec![];
        for words in server.tests.runs.iter().filter(|words| is_run(words)) {
            let outcome = test_run::run(&mut tests_on(server, words, env))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_on_a_version_have_the_variables_of_whoever_runs_them() {
        let server = selected(&["mysql"]).expect("it is known")[0];
        let tests = tests_on(server, &["--workspace"], &[("SESSION_TEST_ROWS", "7")]);
        let set: Vec<_> = tests.get_envs().collect();
        assert!(set.contains(&("SESSION_TEST_ROWS".as_ref(), Some("7".as_ref()))));
        let folder = server.folder();
        assert!(set.contains(&("SESSION_TEST_SERVERS".as_ref(), Some(folder.as_ref()))));
    }
}
