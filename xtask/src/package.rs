//! Checks the packages of the crates.

use std::fs;

use crate::paths::{cargo, root};
use crate::steps::{StepResult, Steps, output};

/// Each crate under crates/ makes a package with what its reader needs in it.
pub(crate) fn check(steps: &mut Steps) -> StepResult {
    let crates = names()?;
    let mut package = cargo(&["package", "--no-verify", "--allow-dirty", "--quiet"]);
    for name in &crates {
        package.args(["--package", name]);
    }
    steps.command("package", &mut package)?;
    steps.check(
        "package contents",
        "README, licences, docs.rs metadata",
        || crates.iter().try_for_each(|name| complete(name)),
    )
}

/// The names of all crates under crates/.
pub(crate) fn names() -> Result<Vec<String>, String> {
    let entries =
        fs::read_dir(root().join("crates")).map_err(|error| format!("crates: {error}"))?;
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

fn complete(name: &str) -> StepResult {
    let list = output(&mut cargo(&[
        "package",
        "--list",
        "--allow-dirty",
        "--package",
        name,
    ]))?;
    for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        if !list.lines().any(|line| line == file) {
            return Err(format!("the package {name} has no {file}"));
        }
    }
    let manifest = root().join("crates").join(name).join("Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .map_err(|error| format!("{}: {error}", manifest.display()))?;
    for entry in [
        "[package.metadata.docs.rs]",
        "description =",
        "readme =",
        "license.workspace",
        "repository.workspace",
    ] {
        if !text.contains(entry) {
            return Err(format!("{} has no {entry}", manifest.display()));
        }
    }
    println!("{name}: {} files", list.lines().count());
    Ok(())
}
