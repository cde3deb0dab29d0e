//! A program of this workspace that serves HTTP.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::assert_in_time;
use crate::host::Host as _;
use crate::process::{Process, Recipe};
use crate::python::python;
use crate::scratch::scratch_dir;

const LIMIT: Duration = Duration::from_secs(15);

/// A program of this workspace, running as its own process and serving HTTP.
#[derive(Debug)]
pub struct Program {
    process: Process,
    name: String,
    directory: PathBuf,
    _logs: TempDir,
    /// Lengths of standard output and error before the last start: what comes after names the
    /// address.
    seen: [usize; 2],
}

impl Program {
    /// Starts `target/<profile>/<name>` in a directory of its own and waits for the line that names
    /// its address, or its port after `READY`.
    ///
    /// Of the caller's environment it sees nothing that configures sessions. `DEMO_ADDR` is
    /// `127.0.0.1:0` unless given.
    pub async fn start(name: &str, env: &[(&str, &str)]) -> Self {
        let (logs, directory) = fresh();
        Self::launch(name, Recipe::new(path(name)), logs, directory, env).await
    }

    /// As [`start`](Self::start), with an argument.
    pub async fn start_with(name: &str, argument: &str, env: &[(&str, &str)]) -> Self {
        let (logs, directory) = fresh();
        let recipe = Recipe::new(path(name)).arg(argument);
        Self::launch(name, recipe, logs, directory, env).await
    }

    /// Starts a Python program of this workspace, such as `examples/flask-neighbour/app.py`, as
    /// [`start`](Self::start) does another one.
    pub async fn start_python(script: &str, env: &[(&str, &str)]) -> Self {
        let (logs, directory) = fresh();
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(script);
        let mut recipe = Recipe::new(python()).arg(file);
        // What Python compiles would lie among the sources.
        recipe.env = vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())];
        Self::launch(script, recipe, logs, directory, env).await
    }

    /// Starts the program at `path`, as [`start`](Self::start) does one of this workspace.
    pub async fn start_at(path: &Path, env: &[(&str, &str)]) -> Self {
        let (logs, directory) = fresh();
        let name = path.display().to_string();
        Self::launch(&name, Recipe::new(path.to_owned()), logs, directory, env).await
    }

    /// Like [`start`](Self::start), in an existing directory, which it shares and does not remove.
    pub async fn start_in(directory: &Path, name: &str, env: &[(&str, &str)]) -> Self {
        let recipe = Recipe::new(path(name));
        Self::launch(name, recipe, scratch_dir(), directory.to_owned(), env).await
    }

    /// Runs the program to its end, 15 seconds at most, and returns what it said.
    pub fn run<A: AsRef<OsStr>>(
        directory: &Path,
        name: &str,
        args: &[A],
        env: &[(&str, &str)],
    ) -> Output {
        Self::run_command(Command::new(path(name)), directory, name, args, env)
    }

    /// Runs a Python program of this workspace to its end, as [`run`](Self::run) does another one.
    pub fn run_python(directory: &Path, script: &str, env: &[(&str, &str)]) -> Output {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(script);
        let mut command = Command::new(python());
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(file);
        Self::run_command(command, directory, script, &[""; 0], env)
    }

    fn run_command<A: AsRef<OsStr>>(
        mut command: Command,
        directory: &Path,
        name: &str,
        args: &[A],
        env: &[(&str, &str)],
    ) -> Output {
        for setting in inherited_settings() {
            command.env_remove(setting);
        }
        command
            .args(args)
            .envs(env.iter().copied())
            .current_dir(directory);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let begin = Instant::now();
        while child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
        {
            if begin.elapsed() > LIMIT {
                let _ = child.kill();
                let output = child.wait_with_output().expect("a child can be waited for");
                panic!("{name} has not ended after {LIMIT:?}: {output:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().expect("a child can be waited for")
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    pub fn url(&self) -> String {
        self.address()
            .expect("a started program has named its address")
    }

    /// The directory it works in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.process.pid()
    }

    /// What it has written to its standard output and error so far.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Ends it by SIGKILL.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Asks it to end by SIGTERM and waits; says whether it did so with success within 15 seconds.
    pub async fn stop(&self) -> bool {
        self.process.signal(Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < LIMIT {
            if let Some(status) = self.process.exited() {
                return status.success();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill();
        false
    }

    /// Kills it if it runs and starts it again in the same directory. Its address is another one if
    /// it chose the port.
    pub async fn restart(&mut self) {
        self.kill();
        self.seen = [self.process.stdout().len(), self.process.stderr().len()];
        self.process
            .launch()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.name));
        let begin = Instant::now();
        while self.address().is_none() {
            if let Some(status) = self.process.exited() {
                panic!(
                    "{} ended at its start ({status}):\n{}",
                    self.name,
                    self.output()
                );
            }
            assert_in_time!(
                begin.elapsed() < LIMIT,
                "{} names no address:\n{}",
                self.name,
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn launch(
        name: &str,
        mut recipe: Recipe,
        logs: TempDir,
        directory: PathBuf,
        env: &[(&str, &str)],
    ) -> Self {
        recipe.env_removed = inherited_settings();
        recipe
            .env
            .push(("DEMO_ADDR".to_owned(), "127.0.0.1:0".to_owned()));
        recipe.env.extend(
            env.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        recipe.directory = Some(directory.clone());
        let process = Process::new(recipe, logs.path());
        let mut program = Self {
            process,
            name: name.to_owned(),
            directory,
            _logs: logs,
            seen: [0; 2],
        };
        program.restart().await;
        program
    }

    /// On standard output, or in a line of the log on standard error.
    fn address(&self) -> Option<String> {
        let output = self.process.stdout();
        let log = self.process.stderr();
        let found = written(&output, self.seen[0]).and_then(address_in);
        found.or_else(|| {
            let log = written(&log, self.seen[1])?;
            address_in(log.split_once("listening on ")?.1)
        })
    }
}

/// The whole lines from `seen` on: one without an end may not be whole yet.
fn written(output: &str, seen: usize) -> Option<&str> {
    output.get(seen..output.rfind('\n')?)
}

fn address_in(written: &str) -> Option<String> {
    if let Some(port) = written.strip_prefix("READY ") {
        return Some(format!("http://127.0.0.1:{}", port.lines().next()?));
    }
    let after = written.split_once("http://")?.1;
    let host = after
        .split(|next: char| !next.is_ascii_alphanumeric() && !".:[]-".contains(next))
        .next()?;
    Some(format!("http://{}", host.trim_end_matches(['.', ':'])))
}

fn path(name: &str) -> PathBuf {
    built(name, name)
}

/// A program of `package`, beside the test program, which lies in `target/<profile>/deps`.
pub(crate) fn built(name: &str, package: &str) -> PathBuf {
    let program = std::env::current_exe().expect("the system names the running program");
    let found = program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built; this builds it: cargo build -p {package}"))
}

fn fresh() -> (TempDir, PathBuf) {
    let logs = scratch_dir();
    let directory = logs.path().join("work");
    fs::create_dir(&directory).expect("a fresh directory is writable");
    (logs, directory)
}

fn inherited_settings() -> Vec<String> {
    let ours = ["SESSION_", "SECRET_KEY", "DEMO_", "PERMANENT", "COOKIE_"];
    let neighbours = [
        "STORE",
        "URL",
        "PORT",
        "PREFIX",
        "USE_SIGNER",
        "LIFETIME",
        "FORMAT",
        "REFRESH",
        "SID_LENGTH",
        "TABLE",
        "FLASK_SESSIONS",
        "FLASK_SECRET_KEY",
    ];
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| {
            ours.iter().any(|start| name.starts_with(start)) || neighbours.contains(&&**name)
        })
        .collect()
}
