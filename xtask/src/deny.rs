//! Checks licences, banned packages and sources.

use std::process::Command;

use crate::paths::{cargo, installed, target};
use crate::steps::{StepResult, Steps};

/// Licences, banned packages and sources by deny.toml; known vulnerabilities are for the workflow,
/// which has a network.
pub(crate) fn check(steps: &mut Steps) -> StepResult {
    let tools = target().join("tools");
    let ours = tools.join("bin/cargo-deny");
    if !installed("cargo-deny") && !ours.is_file() {
        let mut install = cargo(&["install", "--locked", "--debug", "--quiet", "cargo-deny"]);
        install
            .arg("--root")
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build"));
        // Nobody debugs it.
        steps.command("cargo-deny", install.env("CARGO_PROFILE_DEV_DEBUG", "0"))?;
        std::fs::remove_dir_all(tools.join("build"))
            .map_err(|error| format!("{}: {error}", tools.display()))?;
    }
    let program = if ours.is_file() {
        ours
    } else {
        "cargo-deny".into()
    };
    let mut deny = Command::new(program);
    deny.args(["--all-features", "check", "bans", "licenses", "sources"])
        .current_dir(crate::paths::root());
    steps.command("deny", &mut deny)
}
