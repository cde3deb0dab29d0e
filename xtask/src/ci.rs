//! Everything that has to pass: `cargo xtask ci`.

use crate::given::Given;
use crate::paths::{cargo, target};
use crate::steps::{StepResult, Steps, output};
use crate::{costs, deny, matrix, ops, package, setup, smoke, tests, trees};

/// Each by itself, so that one run shows all that is wrong; the quick ones first.
const CHECKS: &[fn(&mut Steps) -> StepResult] = &[
    format,
    trees::check,
    package::check,
    ops::check,
    lint,
    document,
    |steps| tests::run(steps, &[]),
    costs::guard::compare,
    matrix::in_ci,
    smoke::check,
    |steps| crate::browser(steps, &[]),
    features,
    deny::check,
];

/// Everything that has to pass.
pub(crate) fn run(steps: &mut Steps) -> StepResult {
    Given::refuse()?;
    setup::everything(steps)?;
    let failures: Vec<_> = CHECKS
        .iter()
        .filter_map(|check| check(steps).err())
        .collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\nFAILED: "))
    }
}

/// Workspaces of their own, so that nobody who builds the project compiles what only they need.
const BENCHES: &str = "benches/Cargo.toml";
const FUZZ: &str = "fuzz/Cargo.toml";

fn format(steps: &mut Steps) -> StepResult {
    steps.command("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    for manifest in [BENCHES, FUZZ] {
        let arguments = ["fmt", "--manifest-path", manifest, "--check"];
        steps.command("format", &mut cargo(&arguments))?;
    }
    Ok(())
}

fn lint(steps: &mut Steps) -> StepResult {
    let mut lint = cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--keep-going",
    ]);
    steps.command("lint", lint.args(["--", "-D", "warnings"]))?;
    // To compile the libraries that the benches compare takes minutes: the workflow does it beside this.
    let mut lint = cargo(&["clippy", "--locked", "--manifest-path", FUZZ]);
    lint.arg("--target-dir").arg(target());
    steps.command("lint", lint.args(["--", "-D", "warnings"]))
}

fn document(steps: &mut Steps) -> StepResult {
    let mut document = cargo(&[
        "doc",
        "--workspace",
        "--all-features",
        "--no-deps",
        "--document-private-items",
    ]);
    steps.command("documentation", document.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Each choice of features that a user can make and `--all-features` hides.
fn features(steps: &mut Steps) -> StepResult {
    // All features are the default ones of sessionctl, and have been checked. The other two have none
    // by default, which is checked below.
    let elsewhere = ["sessionctl", "session-core", "session-redis"];
    for package in package::names()? {
        if elsewhere.contains(&package.as_str()) {
            continue;
        }
        steps.command("features", &mut cargo(&["check", "--package", &package]))?;
    }
    for database in ["sqlite", "postgres", "mysql"] {
        let check = ["check", "--package", "session-sql", "--features", database];
        steps.command("features", &mut cargo(&check))?;
    }
    // Each alone: what only one of them uses is dead code without it.
    for features in ["", "cluster", "sentinel", "tls"] {
        let mut lint = cargo(&["clippy", "--package", "session-redis", "--features"]);
        lint.args([features, "--", "-D", "warnings"]);
        steps.command("features", &mut lint)?;
    }
    // A URL that needs a feature, or what the environment asks of Flask, is an error that names it.
    // To optimise session-core once more, with fewer features, would take longer than these tests.
    let not_optimised = "profile.dev.package.session-core.opt-level=0";
    let mut test = cargo(&["test", "--lib", "--config", not_optimised]);
    for package in ["session-redis", "session-sql", "session-core"] {
        test.args(["--package", package]);
    }
    steps.command("features", &mut test)?;
    // The tests of a log-in without TLS and RSA, which need a genuine MySQL to run.
    let check = ["check", "--package", "session-sql", "--test", "mysql"];
    steps.command("features", &mut cargo(&check))?;
    steps.check("features", "MongoDB and SQL without rustls", without_rustls)?;
    // One of each kind: a store that is swept, one that is not, one that has a table.
    for features in ["filesystem,flask", "memcached", "sqlite"] {
        let mut lint = cargo(&["clippy", "--package", "session-stores"]);
        lint.args(["--features", features, "--", "-D", "warnings"]);
        steps.command("features", &mut lint)?;
    }
    // Each alone: what only one of them uses is dead code without it.
    for features in [
        "",
        "dbsc",
        "flask",
        "flask-cookie",
        "conformance",
        "model",
        "metrics",
        "spans",
    ] {
        let mut lint = cargo(&[
            "clippy",
            "--package",
            "session-core",
            "--features",
            features,
        ]);
        steps.command("features", lint.args(["--", "-D", "warnings"]))?;
    }
    // A tool with one store alone.
    for features in ["filesystem", "redis", "sqlite,encryption"] {
        let mut lint = cargo(&["clippy", "--package", "sessionctl", "--no-default-features"]);
        lint.args(["--features", features, "--", "-D", "warnings"]);
        steps.command("features", &mut lint)?;
    }
    // Services without axum.
    for features in ["", "dbsc"] {
        let mut lint = cargo(&["clippy", "--package", "session-tower"]);
        lint.args(["--no-default-features", "--features", features]);
        steps.command("features", lint.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// Whoever enables another TLS in the drivers compiles none of rustls. It is not built here, because the
/// driver of MongoDB cannot be built without one.
fn without_rustls() -> StepResult {
    for (features, expected) in [
        ("mongodb,postgres,tls", true),
        ("mongodb-any-tls,postgres,sql-any-tls", false),
    ] {
        let mut tree = cargo(&["tree", "--package", "actix-server-sessions"]);
        tree.args(["--edges", "normal,build", "--prefix", "none"]);
        let tree = output(tree.args(["--features", features]))?;
        let has = |name: &str| tree.lines().any(|line| line.starts_with(name));
        if (has("rustls "), has("ring ")) != (expected, expected) {
            return Err(format!(
                "{features}: rustls is there, or not, as it should not be"
            ));
        }
    }
    Ok(())
}
