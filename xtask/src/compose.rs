//! The tests against running servers: `cargo xtask test --compose`, and a server of one's own that a
//! variable names.

use std::env;
use std::fs::{self, File, TryLockError};
use std::process::{Command, Stdio};

use crate::paths::{built, cargo, root, target};
use crate::setup;
use crate::steps::{StepResult, Steps, output};

/// Lists the tests that a server which is running already cannot serve.
const LIST: &str = "tests/own-server.txt";

/// One variable for each server that a person can name.
const VARIABLES: &[&str] = &[
    "SESSION_TEST_REDIS_URL",
    "SESSION_TEST_MEMCACHED",
    "SESSION_TEST_MONGODB_URL",
    "SESSION_TEST_POSTGRES_URL",
    "SESSION_TEST_MYSQL_URL",
];

/// The packages whose tests use servers.
const PACKAGES: &[&str] = &[
    "session-redis",
    "session-memcached",
    "session-mongo",
    "session-sql",
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

/// Whether the environment names a server for the tests.
pub(crate) fn is_given() -> bool {
    VARIABLES.iter().any(|name| env::var_os(name).is_some())
}

/// Runs the tests of servers against the services of docker-compose.yml, and the others as always.
/// `words` select packages as `-p PACKAGE`.
pub(crate) fn test(steps: &mut Steps, words: &[&str]) -> StepResult {
    let _only_run = only_run()?;
    let engine = Engine::found(steps)?;
    let packages: Vec<_> = words.iter().flat_map(|word| ["-p", word]).collect();
    setup::tests_without_servers(steps, &packages)?;
    engine.end_stand_in(steps)?;
    let mut up = engine.compose();
    let up = steps.command("compose", up.args(["up", "--detach", "--wait"]));
    let outcome = up.and_then(|()| {
        run(steps, words, |command| {
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
    let lock = File::create(&path).map_err(failure)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err("the tests against compose run already on this machine: wait for their end".into())
        }
        Err(TryLockError::Error(error)) => Err(failure(error)),
    }
}

/// Runs the tests against the servers that the environment names.
pub(crate) fn test_given(steps: &mut Steps, words: &[&str]) -> StepResult {
    run(steps, words, |_| {})
}

fn run(steps: &mut Steps, words: &[&str], lend: impl Fn(&mut Command)) -> StepResult {
    let under_compose = !is_given();
    let excluded = Excluded::read(under_compose)?;
    let chosen = packages(words)?;
    let selected = |package: &str| chosen.is_empty() || chosen.contains(&package);
    let mut failures = vec![];
    if selected("session-tests") {
        // Its tests run programs of other packages.
        let mut build = cargo(&["build", "--all-features", "--package", "demo"]);
        steps.command("build", build.args(["--package", "flask-neighbour"]))?;
    }
    for package in PACKAGES.iter().filter(|package| selected(package)) {
        let mut tests = cargo_test(package);
        lend(&mut tests);
        let names = excluded.others(package, &tests, |_| true)?;
        tests.arg("--exact").args(names);
        failures.extend(steps.tests("test", &mut tests).err());
    }
    let replacements = REPLACEMENTS
        .iter()
        .filter(|it| under_compose && selected(it.package));
    for it in replacements {
        let mut tests = cargo_test(it.package);
        lend(&mut tests);
        let names = excluded.others(it.package, &tests, it.is_run)?;
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
    excluded.report(selected);
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

/// The tests of the list that do not run, with the reason for each.
struct Excluded(Vec<Entry>);

struct Entry {
    package: String,
    /// A test, or the beginning of the names of several.
    test: String,
    reason: String,
}

impl Excluded {
    /// Docker compose can end, freeze and start its services: only what needs another server than
    /// those is left out there.
    fn read(under_compose: bool) -> Result<Self, String> {
        let list =
            fs::read_to_string(root().join(LIST)).map_err(|error| format!("{LIST}: {error}"))?;
        let mut entries = vec![];
        let lines = list.lines().filter(|line| !line.starts_with('#'));
        for line in lines.filter(|line| !line.is_empty()) {
            let mut fields = line.splitn(4, char::is_whitespace);
            let mut field = || fields.next().unwrap_or_default().trim().to_owned();
            let (kind, package, test, reason) = (field(), field(), field(), field());
            if reason.is_empty() || !["ends", "other"].contains(&kind.as_str()) {
                return Err(format!(
                    "{LIST}: a line is `ends|other PACKAGE TEST REASON`, not {line:?}"
                ));
            }
            if kind == "other" || !under_compose {
                entries.push(Entry {
                    package,
                    test,
                    reason,
                });
            }
        }
        Ok(Self(entries))
    }

    /// The names of the package's other tests that are to run. An entry without a test is an error.
    fn others(
        &self,
        package: &str,
        tests: &Command,
        is_run: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, String> {
        let mut list = Command::new(tests.get_program());
        list.args(tests.get_args())
            .arg("--list")
            .current_dir(root());
        let listed = output(list.stderr(Stdio::inherit()))?;
        let mut names: Vec<_> = listed
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .collect();
        for entry in self.0.iter().filter(|entry| entry.package == package) {
            let before = names.len();
            names.retain(|name| !name.starts_with(&entry.test));
            if names.len() == before {
                return Err(format!("{LIST}: {package} has no test {}", entry.test));
            }
        }
        names.retain(|name| is_run(name));
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn report(&self, selected: impl Fn(&str) -> bool) {
        println!("\nNot run, as {LIST} says:");
        for entry in self.0.iter().filter(|entry| selected(&entry.package)) {
            println!("  {} {} ({})", entry.package, entry.test, entry.reason);
        }
    }
}

/// Docker, or the stand-in that `SESSION_STAND_IN` asks for.
struct Engine {
    is_stand_in: bool,
}

impl Engine {
    fn found(steps: &mut Steps) -> Result<Self, String> {
        let is_stand_in = env::var_os("SESSION_STAND_IN").is_some();
        if is_stand_in {
            println!(
                "a stand-in for docker runs installed servers: this run says nothing about Docker"
            );
            let mut build = cargo(&["build", "--package", "session-tests", "--all-features"]);
            steps.command("stand-in", &mut build)?;
        } else if !setup::docker_works() {
            return Err("no Docker engine runs here: docker info".to_owned());
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
                .env("SESSION_STAND_IN", target().join("stand-in"))
                .env("SESSION_STAND_IN_OWNER", std::process::id().to_string())
                .env("SESSION_TEST_DOCKER", built("docker-stand-in"));
        }
    }
}
