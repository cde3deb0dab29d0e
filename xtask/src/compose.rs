//! The tests against running servers: `cargo xtask test --compose`, and a server of one's own that a
//! variable names.

use std::env;
use std::fs::{File, TryLockError};
use std::process::Command;

use crate::given::{Given, Selection};
use crate::paths::{built, cargo, root, target};
use crate::setup;
use crate::steps::{StepResult, Steps};

const STAND_IN: &str = "SESSION_TEST_STAND_IN";
const FOLDER: &str = "SESSION_TEST_SERVERS";

/// The packages whose tests use servers.
const PACKAGES: &[&str] = &[
    "session-redis",
    "session-memcached",
    "session-mongo",
    "session-sql",
    "session-stores",
    "session-tests",
    "sessionctl",
];

/// Services that take the place of another.
const REPLACEMENTS: &[Replacement] = &[
    Replacement {
        package: "session-redis",
        is_run: |test| !test.contains("cluster") && !test.contains("sentinel"),
        variable: "SESSION_TEST_REDIS_URL",
        url: "redis://127.0.0.1:31380/",
    },
    Replacement {
        package: "session-sql",
        is_run: |test| test.contains("mariadb"),
        variable: "SESSION_TEST_MYSQL_URL",
        url: "mysql://session:session@127.0.0.1:31307/session",
    },
];

struct Replacement {
    /// Whose tests.
    package: &'static str,
    /// Which of them.
    is_run: fn(&str) -> bool,
    /// How they find it.
    variable: &'static str,
    url: &'static str,
}

/// Runs the tests of servers against the services of docker-compose.yml, and the others as always.
/// `words` select packages as `-p PACKAGE`.
pub(crate) fn test(steps: &mut Steps, words: &[&str]) -> StepResult {
    Given::refuse()?;
    refuse_folder()?;
    let _only_run = only_run()?;
    let engine = Engine::found(steps)?;
    let chosen = packages(words)?;
    setup::tests_without_servers(steps, &chosen)?;
    engine.end_stand_in(steps)?;
    let mut up = engine.compose();
    let up = steps.command("compose", up.args(["up", "--detach", "--wait"]));
    let outcome = up.and_then(|()| {
        run(steps, &chosen, Selection::read(None)?, |command| {
            engine.lend(command);
            command.env("SESSION_TEST_COMPOSE", "1");
        })
    });
    engine.end_stand_in(steps)?;
    outcome
}

/// Held by one run of this machine: the services have fixed ports, and a second run would end and
/// freeze those of the first.
fn only_run() -> Result<File, String> {
    let path = env::temp_dir().join("session-test-compose.lock");
    let failure = |error| format!("{}: {error}", path.display());
    // Who comes second may be another user, and may not write it.
    let lock = File::open(&path).or_else(|_| File::create(&path));
    let lock = lock.map_err(failure)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err("the tests against compose run already on this machine: wait for their end".into())
        }
        Err(TryLockError::Error(error)) => Err(failure(error)),
    }
}

/// Runs the tests against the servers that the environment names, and no tests that need another.
/// `words` select packages as for [`test()`]; without any, they are those whose tests use these
/// servers.
pub(crate) fn test_given(steps: &mut Steps, given: Given, words: &[&str]) -> StepResult {
    refuse_folder()?;
    let mut chosen = packages(words)?;
    if chosen.is_empty() {
        chosen = given.packages();
    }
    setup::tests_without_servers(steps, &chosen)?;
    run(steps, &chosen, Selection::read(Some(given))?, |_| {})
}

/// Runs the tests of the packages `chosen`, or of all.
fn run(
    steps: &mut Steps,
    chosen: &[&str],
    mut selection: Selection,
    lend: impl Fn(&mut Command),
) -> StepResult {
    let under_compose = selection.is_all();
    let selected = |package: &str| chosen.is_empty() || chosen.contains(&package);
    let mut failures = vec![];
    // Programs of other packages that the tests run.
    let mut build = cargo(&["build", "--all-features", "--package", "session-tests"]);
    if selected("session-tests") {
        build.args(["--package", "demo", "--package", "flask-neighbour"]);
    }
    steps.command("build", &mut build)?;
    for package in PACKAGES.iter().filter(|package| selected(package)) {
        let mut tests = cargo_test(package);
        lend(&mut tests);
        let names = selection.of(package, &tests, |_| true)?;
        if names.is_empty() {
            failures.push(format!(
                "{package}: no test uses only the servers that the environment names"
            ));
            continue;
        }
        tests.arg("--exact").args(names);
        failures.extend(steps.tests("test", &mut tests).err());
    }
    let replacements = REPLACEMENTS
        .iter()
        .filter(|it| under_compose && selected(it.package));
    for it in replacements {
        let mut tests = cargo_test(it.package);
        lend(&mut tests);
        let names = selection.of(it.package, &tests, it.is_run)?;
        tests.env(it.variable, it.url).arg("--exact").args(names);
        failures.extend(steps.tests("test", &mut tests).err());
    }
    let mut others = cargo(&["test", "--all-features", "--no-fail-fast"]);
    let without_servers = chosen.iter().filter(|name| !PACKAGES.contains(name));
    if chosen.is_empty() {
        others.arg("--workspace");
        for package in PACKAGES {
            others.args(["--exclude", package]);
        }
        failures.extend(steps.tests("test", &mut others).err());
    } else if without_servers.clone().next().is_some() {
        others.args(without_servers.flat_map(|name| ["--package", name]));
        failures.extend(steps.tests("test", &mut others).err());
    }
    selection.report(selected);
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n"))
    }
}

/// The packages that `words` name, as `cargo test` takes them: `-p PACKAGE`. Here the `-p` may be
/// left out.
fn packages<'w>(words: &[&'w str]) -> Result<Vec<&'w str>, String> {
    let mut packages = vec![];
    for word in words
        .iter()
        .filter(|word| !["-p", "--package"].contains(word))
    {
        let name = word.strip_prefix("--package=").unwrap_or(word);
        if name.starts_with('-') {
            return Err(format!(
                "{word}: with servers that run already, crates alone can be selected: -p session-redis"
            ));
        }
        packages.push(name);
    }
    Ok(packages)
}

/// One test after another, because all share the servers.
fn cargo_test(package: &str) -> Command {
    let mut tests = cargo(&["test", "--all-features", "--no-fail-fast", "--package"]);
    tests.args([package, "--tests", "--", "--test-threads=1"]);
    tests
}

/// Whether the environment asks for a stand-in for Docker.
fn asks_for_stand_in() -> Result<bool, String> {
    match env::var_os(STAND_IN) {
        None => Ok(false),
        Some(value) if value == "1" => Ok(true),
        Some(_) => Err(format!("{STAND_IN} must be 1, or not be set")),
    }
}

/// For tests without docker compose, which no stand-in serves.
pub(crate) fn refuse_stand_in() -> StepResult {
    if asks_for_stand_in()? {
        return Err(format!(
            "{STAND_IN} is for --compose alone: add that, or unset {STAND_IN}"
        ));
    }
    Ok(())
}

/// For tests on servers that run already, where a folder of programs has no use.
fn refuse_folder() -> StepResult {
    if env::var_os(FOLDER).is_some() {
        return Err(format!(
            "{FOLDER} is for tests that start their servers: unset it for those that run already"
        ));
    }
    Ok(())
}

/// Docker, or the stand-in that `SESSION_TEST_STAND_IN` asks for.
struct Engine {
    is_stand_in: bool,
}

impl Engine {
    fn found(steps: &mut Steps) -> Result<Self, String> {
        let is_stand_in = asks_for_stand_in()?;
        if is_stand_in {
            println!(
                "a stand-in for docker runs installed servers, MariaDB as mysql and Redis as valkey: \
                 this run says nothing about Docker, MySQL and Valkey"
            );
            let mut build = cargo(&["build", "--package", "session-tests", "--all-features"]);
            steps.command("stand-in", &mut build)?;
        } else if !setup::docker_works() {
            let advice = "no Docker engine runs here (docker info fails): start one; or name servers of \
                          your own by variables, as CONTRIBUTING.md says; or set SESSION_TEST_STAND_IN=1 to \
                          test the harness itself";
            return Err(advice.to_owned());
        }
        Ok(Self { is_stand_in })
    }

    fn compose(&self) -> Command {
        let program = if self.is_stand_in {
            built("docker-stand-in")
        } else {
            "docker".into()
        };
        let mut command = Command::new(program);
        command.arg("compose").arg("--file");
        command.arg(root().join("docker-compose.yml"));
        self.lend(&mut command);
        command
    }

    /// Docker's services stay for the next run; the stand-in's end, and their data goes.
    fn end_stand_in(&self, steps: &mut Steps) -> StepResult {
        if self.is_stand_in {
            steps.command("compose", self.compose().arg("down"))
        } else {
            Ok(())
        }
    }

    /// What the harness needs to find the engine.
    fn lend(&self, command: &mut Command) {
        if self.is_stand_in {
            command
                .env(STAND_IN, target().join("stand-in"))
                .env(
                    "SESSION_TEST_STAND_IN_OWNER",
                    std::process::id().to_string(),
                )
                .env("SESSION_TEST_DOCKER", built("docker-stand-in"));
        }
    }
}
