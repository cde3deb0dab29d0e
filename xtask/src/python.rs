//! The virtual environment of the tests.

use std::fs;
use std::process::{Command, Stdio};

use crate::paths::{root, target};
use crate::steps::{StepResult, Steps};

/// Debian ships the modules of this apart from Python itself.
pub(crate) fn can_make_environments() -> bool {
    let mut import = Command::new("python3");
    import
        .args(["-c", "import venv, ensurepip"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success())
}

/// The virtual environment in the target directory, with what tests/requirements.txt lists.
pub(crate) fn environment(steps: &mut Steps) -> StepResult {
    let directory = target().join("test-venv");
    let python = directory.join("bin/python");
    let wanted = root().join("tests/requirements.txt");
    // Written last, so its presence means that all is there.
    let installed = directory.join("requirements.txt");
    if python.is_file() && fs::read(&installed).ok() == fs::read(&wanted).ok() {
        return Ok(());
    }
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&directory);
    steps.command("python environment", &mut create)?;
    let mut install = Command::new(&python);
    install
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(&wanted);
    steps.command("python packages", &mut install)?;
    let written = fs::copy(&wanted, &installed).map(drop);
    written.map_err(|error| format!("{}: {error}", installed.display()))
}
