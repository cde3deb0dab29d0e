use crate::paths::cargo;
use crate::steps::{Outcome, Steps};
use crate::{deny, package, setup, smoke, tests, trees};

/// Everything that has to pass, quickest first, ending at the first failure.
pub(crate) fn run(steps: &mut Steps) -> Outcome {
    setup::everything(steps)?;
    steps.command("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    trees::check(steps)?;
    package::check(steps)?;
    let mut lint = cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]);
    steps.command("lint", &mut lint)?;
    let mut document = cargo(&[
        "doc",
        "--workspace",
        "--all-features",
        "--no-deps",
        "--document-private-items",
    ]);
    steps.command("documentation", document.env("RUSTDOCFLAGS", "-D warnings"))?;
    tests::run(steps, &[])?;
    smoke::check(steps)?;
    crate::browser(steps)?;
    features(steps)?;
    deny::check(steps)
}

/// Each choice of features that a user can make and `--all-features` hides.
fn features(steps: &mut Steps) -> Outcome {
    for database in ["sqlite", "postgres", "mysql"] {
        steps.command(
            "features",
            &mut cargo(&["check", "--package", "session-sql", "--features", database]),
        )?;
    }
    steps.command(
        "features",
        &mut cargo(&["check", "--package", "session-core"]),
    )?;
    steps.command(
        "features",
        &mut cargo(&[
            "check",
            "--package",
            "session-core",
            "--features",
            "conformance",
        ]),
    )
}
