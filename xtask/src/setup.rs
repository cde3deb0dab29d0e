//! Installs what the tests need: `cargo xtask setup`.

use std::process::{Command, Stdio};

use crate::paths::installed;
use crate::steps::{StepResult, Steps};
use crate::{apt, python};

/// Programs the tests run, and the Debian package each is in.
const FOR_TESTS: &[(&str, &str)] = &[
    ("redis-server", "redis-server"),
    ("memcached", "memcached"),
    ("postgres", "postgresql"),
    ("mariadbd", "mariadb-server"),
    ("python3", "python3"),
    ("strace", "strace"),
    ("valgrind", "valgrind"),
    ("c++", "g++"),
];

const FOR_BROWSER: &[(&str, &str)] = &[
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
];

/// All that any command needs.
pub(crate) fn everything(steps: &mut Steps) -> StepResult {
    install(steps, &[FOR_TESTS, FOR_BROWSER].concat())?;
    python::environment(steps)
}

/// The servers and tools of the tests.
pub(crate) fn tests(steps: &mut Steps) -> StepResult {
    install(steps, FOR_TESTS)?;
    python::environment(steps)
}

/// The browser and its driver.
#[cfg(feature = "browser")]
pub(crate) fn browser(steps: &mut Steps) -> StepResult {
    install(steps, FOR_BROWSER)
}

fn install(steps: &mut Steps, programs: &[(&'static str, &'static str)]) -> StepResult {
    let mut packages = missing(programs);
    if !python::can_make_environments() {
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return Ok(());
    }
    if docker_works() {
        println!(
            "docker works here, so `docker compose up --wait` starts every server for the demo; the tests start their own"
        );
    }
    apt::install(steps, &packages)
}

fn missing(programs: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    programs
        .iter()
        .filter(|(program, _)| !installed(program))
        .map(|(_, package)| *package)
        .collect()
}

fn docker_works() -> bool {
    let mut command = Command::new("docker");
    command
        .arg("info")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
