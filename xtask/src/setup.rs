//! Installs what the tests need: `cargo xtask setup`.

use std::process::{Command, Stdio};

use crate::paths::installed;
use crate::steps::{StepResult, Steps};
use crate::{apt, python};

/// A program, the Debian package it is in, and the crates whose tests run it.
#[derive(Clone, Copy)]
struct Program(&'static str, &'static str, &'static [&'static str]);

/// Servers that the tests start.
const SERVERS: &[Program] = &[
    Program(
        "redis-server",
        "redis-server",
        &[
            "session-redis",
            "session-stores",
            "session-tests",
            "sessionctl",
        ],
    ),
    Program(
        "memcached",
        "memcached",
        &[
            "session-memcached",
            "session-stores",
            "session-tests",
            "sessionctl",
        ],
    ),
    Program(
        "postgres",
        "postgresql",
        &["session-sql", "session-tests", "sessionctl"],
    ),
    Program(
        "mariadbd",
        "mariadb-server",
        &["session-sql", "session-tests", "sessionctl"],
    ),
    Program("pgbouncer", "pgbouncer", &["session-sql"]),
];

/// Other programs that the tests run.
const TOOLS: &[Program] = &[
    Program("python3", "python3", &["session-tests", "sessionctl"]),
    Program("strace", "strace", &["session-fs"]),
    Program("ip", "iproute2", &["session-redis"]),
    Program(
        "openssl",
        "openssl",
        &["session-redis", "session-sql", "session-mongo"],
    ),
];

/// The packages whose tests run Flask, and those that run a server of MongoDB's protocol in Python.
const FLASK: &[&str] = &["session-tests"];
const SECANTUS_DB: &[&str] = &["session-mongo", "session-tests", "sessionctl"];

const FOR_SECANTUS_DB: &[Program] = &[Program("python3", "python3", SECANTUS_DB)];

/// libFuzzer is in C++.
const FOR_FUZZ: &[Program] = &[Program("c++", "g++", &[])];

const FOR_COSTS: &[Program] = &[Program("valgrind", "valgrind", &[])];

const FOR_BROWSER: &[Program] = &[
    Program("chromium", "chromium", &[]),
    Program("chromedriver", "chromium-driver", &[]),
];

/// The servers of Flask-Session's tutorials, and the browser.
#[cfg(feature = "browser")]
pub(crate) fn quickstart(steps: &mut Steps) -> StepResult {
    let is_used = |program: &&Program| matches!(program.0, "redis-server" | "memcached");
    let servers: Vec<_> = SERVERS.iter().filter(is_used).copied().collect();
    install(steps, &[&servers, FOR_SECANTUS_DB, FOR_BROWSER].concat())?;
    python::environment(steps)
}

/// All that any command needs.
pub(crate) fn everything(steps: &mut Steps) -> StepResult {
    install(
        steps,
        &[SERVERS, TOOLS, FOR_FUZZ, FOR_COSTS, FOR_BROWSER].concat(),
    )?;
    python::environment(steps)
}

/// The servers and tools of the tests that `words` select for cargo.
pub(crate) fn tests(steps: &mut Steps, words: &[&str]) -> StepResult {
    let programs = [SERVERS, TOOLS, FOR_SECANTUS_DB].concat();
    install_for(steps, &programs, |of| selects(words, of))?;
    if selects(words, SECANTUS_DB) {
        python::environment(steps)?;
    }
    Ok(())
}

/// The tools of the tests of these packages, or of all, where the servers run already.
pub(crate) fn tests_without_servers(steps: &mut Steps, packages: &[&str]) -> StepResult {
    let selects =
        |of: &[&str]| packages.is_empty() || packages.iter().any(|name| of.contains(name));
    install_for(steps, TOOLS, selects)?;
    if selects(FLASK) {
        python::environment(steps)?;
    }
    Ok(())
}

/// Whether the tests need servers, none of which is installed, and docker compose can run them. If
/// only some are missing, they are to be installed: against compose fewer tests run.
pub(crate) fn only_docker_has_servers(words: &[&str]) -> bool {
    let servers = SERVERS.iter().filter(|it| selects(words, it.2));
    let installed: Vec<_> = servers.map(|server| installed(server.0)).collect();
    !installed.is_empty() && !installed.contains(&true) && docker_works()
}

/// Whether `words` for cargo select the tests of one of `packages`, or those of all.
pub(crate) fn selects(words: &[&str], packages: &[&str]) -> bool {
    let is_all = |word: &&str| ["--workspace", "--all"].contains(word);
    let names_a_package = words
        .iter()
        .any(|word| word.starts_with("-p") || word.starts_with("--p"));
    !names_a_package
        || words.iter().any(is_all)
        || words.iter().any(|word| {
            let name = word
                .trim_start_matches("--package=")
                .trim_start_matches("-p");
            packages.contains(&name)
        })
}

fn install_for(
    steps: &mut Steps,
    programs: &[Program],
    selects: impl Fn(&[&str]) -> bool,
) -> StepResult {
    let needed: Vec<_> = programs
        .iter()
        .filter(|program| selects(program.2))
        .copied()
        .collect();
    install(steps, &needed)
}

/// What libFuzzer is compiled by.
pub(crate) fn fuzz(steps: &mut Steps) -> StepResult {
    install(steps, FOR_FUZZ)
}

/// What counts instructions.
pub(crate) fn costs(steps: &mut Steps) -> StepResult {
    install(steps, FOR_COSTS)
}

/// The browser and its driver.
#[cfg(feature = "browser")]
pub(crate) fn browser(steps: &mut Steps) -> StepResult {
    install(steps, FOR_BROWSER)
}

fn install(steps: &mut Steps, programs: &[Program]) -> StepResult {
    let mut packages: Vec<_> = programs
        .iter()
        .filter(|program| !installed(program.0))
        .map(|program| program.1)
        .collect();
    let runs_python = programs.iter().any(|program| program.0 == "python3");
    if runs_python && !python::can_make_environments() {
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return Ok(());
    }
    apt::install(steps, &packages)
}

pub(crate) fn docker_works() -> bool {
    let mut command = Command::new("docker");
    command
        .arg("info")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
