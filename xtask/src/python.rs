use std::process::{Command, Stdio};

use crate::paths::target;
use crate::steps::{Outcome, Steps};

/// What the tests use for `MongoDB` where the genuine one is not to be had.
const MONGODB_SERVER: &str = "SecantusDB==0.7.0b3";

/// Debian ships the modules of this apart from Python itself.
pub(crate) fn can_make_environments() -> bool {
    succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

/// The virtual environment of the tests, which lies in the target directory.
pub(crate) fn environment(steps: &mut Steps) -> Outcome {
    let directory = target().join("test-venv");
    let python = directory.join("bin/python");
    let version = MONGODB_SERVER.rsplit('=').next().unwrap_or_default();
    let check = format!("import secantus; assert secantus.__version__ == '{version}'");
    if succeeds(Command::new(&python).args(["-c", &check])) {
        return Ok(());
    }
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&directory);
    steps.command("python environment", &mut create)?;
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        MONGODB_SERVER,
    ]);
    steps.command("python packages", &mut install)
}

fn succeeds(command: &mut Command) -> bool {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
