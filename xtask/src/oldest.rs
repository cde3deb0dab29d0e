//! The oldest Rust of each crate: `cargo xtask oldest`.

use std::fs;
use std::process::Command;

use crate::package;
use crate::paths::{root, target};
use crate::steps::{StepResult, Steps, output};

/// Features that need a newer Rust than the crate without them, and the crate that brings it along.
const NEWER: &[(&str, &[&str], &str)] = &[
    ("actix-server-sessions", SQL, "session-sql"),
    ("session-stores", SQL, "session-sql"),
];

const SQL: &[&str] = &["mysql", "mysql-rsa", "postgres", "sqlite"];

/// Builds each crate, all its features included, with the Rust of its `rust-version`.
pub(crate) fn run(steps: &mut Steps) -> StepResult {
    for name in package::names()? {
        let oldest = rust_version(&name)?;
        let newer = NEWER.iter().find(|(it, ..)| *it == name);
        let Some((_, features, brought_by)) = newer else {
            check(steps, &name, &oldest, &["--all-features"])?;
            continue;
        };
        let all = self::features(&name)?;
        let others: Vec<_> = all
            .iter()
            .filter(|it| !features.contains(&&***it))
            .map(String::as_str)
            .collect();
        check(steps, &name, &oldest, &["--features", &others.join(",")])?;
        let newer = rust_version(brought_by)?;
        check(steps, &name, &newer, &["--all-features"])?;
    }
    Ok(())
}

fn check(steps: &mut Steps, name: &str, version: &str, features: &[&str]) -> StepResult {
    let mut rustc = Command::new("rustup");
    if output(rustc.args(["run", version, "rustc", "--version"])).is_err() {
        return Err(format!(
            "Rust {version} is missing: rustup toolchain install {version} --profile minimal"
        ));
    }
    let mut check = Command::new("rustup");
    check
        .args(["run", version, "cargo", "check", "--locked"])
        .args(["--package", name])
        .args(features)
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target().join("oldest"))
        .env_remove("RUSTUP_TOOLCHAIN");
    steps.command("oldest", &mut check)
}

fn manifest(name: &str) -> Result<String, String> {
    let path = root().join("crates").join(name).join("Cargo.toml");
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn rust_version(name: &str) -> Result<String, String> {
    let manifest = manifest(name)?;
    let line = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let version = line.map(|version| version.trim_matches('"').to_owned());
    version.ok_or_else(|| format!("{name} has no rust-version of its own"))
}

/// The names of all features, as Cargo.toml has them.
fn features(name: &str) -> Result<Vec<String>, String> {
    let manifest = manifest(name)?;
    let (_, rest) = manifest.split_once("[features]\n").unwrap_or_default();
    let section = rest.lines().take_while(|line| !line.starts_with('['));
    let names = section.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned()));
    Ok(names.filter(|name| !name.starts_with('#')).collect())
}
