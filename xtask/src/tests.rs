//! Runs tests: `cargo xtask test` and `cargo xtask soak`.

use crate::given::Given;
use crate::paths::cargo;
use crate::steps::{StepResult, Steps};
use crate::{compose, fuzz, matrix, setup};

const SOAK_ROUNDS: &str = "1000";
const SOAK_PROGRAMS: &str = "10000000";
/// How many sessions move between each two stores, and how many in the measured move.
const SOAK_MOVED: &str = "100000";
const SOAK_MOVED_AT_ONCE: &str = "1000000";
/// Rows of the tables whose indexes are created.
const ROWS: &str = "SESSION_TEST_ROWS";
const SOAK_ROWS: &str = "5000000";

/// How long the soak runs each fuzz target.
const SOAK_FUZZ_SECONDS: u32 = 600;

/// Set-up, then every test, or those that `words` select.
pub(crate) fn run(steps: &mut Steps, words: &[&str]) -> StepResult {
    if let Some(given) = Given::by_environment()? {
        return compose::test_given(steps, given, words);
    }
    compose::refuse_stand_in()?;
    if setup::only_docker_has_servers(words) {
        println!("the servers are not installed here and Docker runs: as with --compose");
        return compose::test(steps, words);
    }
    setup::tests(steps, words)?;
    build_selected(steps, words)?;
    steps.tests(
        "test",
        cargo(&["test", "--all-features", "--no-fail-fast"]).args(selection(words)),
    )
}

/// The same with more rounds, and then, unless tests are selected, the other versions of the servers
/// and every fuzz target.
pub(crate) fn soak(steps: &mut Steps, words: &[&str]) -> StepResult {
    Given::refuse()?;
    setup::tests(steps, words)?;
    build_selected(steps, words)?;
    let mut soak = cargo(&["test", "--all-features", "--no-fail-fast"]);
    steps.tests(
        "soak",
        soak.args(selection(words))
            .env("SESSION_TEST_ROUNDS", SOAK_ROUNDS)
            .env("SESSION_TEST_PROGRAMS", SOAK_PROGRAMS)
            .env("SESSION_TEST_MOVED", SOAK_MOVED)
            .env("SESSION_TEST_MOVED_AT_ONCE", SOAK_MOVED_AT_ONCE)
            .env(ROWS, SOAK_ROWS),
    )?;
    if words.is_empty() {
        // Only here is one of the servers a MySQL. A thousand kills of each version would take days.
        matrix::run(steps, &[], &[(ROWS, SOAK_ROWS)])?;
        fuzz::run(steps, SOAK_FUZZ_SECONDS, &[])?;
        crate::browser(steps, &["quota"])?;
    }
    Ok(())
}

/// The cookie tests of the http-state working group, read from a checkout that the user names.
pub(crate) fn http_state(steps: &mut Steps, checkout: &str) -> StepResult {
    let checkout = std::path::absolute(checkout).map_err(|error| format!("{checkout}: {error}"))?;
    let mut test = cargo(&["test", "--package", "session-core", "--lib"]);
    test.args(["--features", "flask", "http_state"]);
    test.args(["--", "--ignored", "--nocapture"]);
    steps.tests("http-state", test.env("HTTP_STATE", checkout))
}

/// The programs of other packages that tests run, and `cargo test` of one package does not build.
pub(crate) fn build_programs(steps: &mut Steps) -> StepResult {
    let mut build = cargo(&["build", "--bins", "--all-features"]);
    for package in ["demo", "flask-neighbour", "session-tests"] {
        build.args(["--package", package]);
    }
    steps.command("programs", &mut build)
}

/// All there is, if tests are selected that run programs.
fn build_selected(steps: &mut Steps, words: &[&str]) -> StepResult {
    if setup::selects(words, &["session-tests"]) {
        build(steps)
    } else {
        Ok(())
    }
}

/// Builds all there is, once.
pub(crate) fn build(steps: &mut Steps) -> StepResult {
    steps.command(
        "build",
        &mut cargo(&["build", "--workspace", "--all-targets", "--all-features"]),
    )
}

fn selection<'a>(words: &'a [&'a str]) -> &'a [&'a str] {
    if words.is_empty() {
        &["--workspace"]
    } else {
        words
    }
}
