use crate::paths::cargo;
use crate::setup;
use crate::steps::{Outcome, Steps};

const SOAK_ROUNDS: &str = "1000";
const SOAK_PROGRAMS: &str = "10000000";

/// Set-up, then every test, or those that `words` select.
pub(crate) fn run(steps: &mut Steps, words: &[&str]) -> Outcome {
    setup::tests(steps)?;
    build(steps)?;
    steps.command(
        "test",
        cargo(&["test", "--all-features", "--no-fail-fast"]).args(selection(words)),
    )
}

/// The same with more rounds.
pub(crate) fn soak(steps: &mut Steps, words: &[&str]) -> Outcome {
    setup::tests(steps)?;
    build(steps)?;
    let mut soak = cargo(&["test", "--all-features", "--no-fail-fast"]);
    steps.command(
        "soak",
        soak.args(selection(words))
            .env("SESSION_TEST_ROUNDS", SOAK_ROUNDS)
            .env("SESSION_TEST_PROGRAMS", SOAK_PROGRAMS),
    )
}

/// Builds all there is, once: tests run programs of other packages, which `cargo test` alone would not build.
pub(crate) fn build(steps: &mut Steps) -> Outcome {
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
