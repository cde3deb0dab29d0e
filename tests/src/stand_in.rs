//! A stand-in for `docker compose`, to test the harness where no Docker engine runs: it obeys the
//! same words and runs installed servers on the services' ports. It is not Docker, its `mysql` is
//! a `MariaDB`, and its `valkey` a Redis.

use std::env;
use std::fs::{self, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use crate::compose::SERVICES;
use crate::process::Recipe;
use crate::{mariadb, memcached, mongo, postgres, redis, redis_cluster, redis_sentinel, tree};

/// Names the directory that the services' data and process ids are in.
const DIRECTORY: &str = "SESSION_TEST_STAND_IN";
/// Another port for the one service of a test, which so takes nobody's.
const PORT: &str = "SESSION_TEST_STAND_IN_PORT";
/// Names the process whose end ends the services.
const OWNER: &str = "SESSION_TEST_STAND_IN_OWNER";
const START_LIMIT: Duration = Duration::from_secs(30);

/// Does what `docker` would do by these words.
///
/// # Errors
///
/// What `docker` would say, or that it is a word that the stand-in does not know.
pub fn docker(words: &[String]) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["info"] => Ok(()),
        [
            "compose",
            "--file",
            _,
            "up",
            "--detach",
            "--wait",
            names @ ..,
        ] => each(names, Service::up),
        ["compose", "--file", _, "kill", names @ ..] => each(names, Service::kill),
        ["compose", "--file", _, "pause", names @ ..] => each(names, Service::pause),
        ["compose", "--file", _, "unpause", names @ ..] => each(names, Service::unpause),
        [
            "compose",
            "--file",
            _,
            "rm",
            "--stop",
            "--force",
            names @ ..,
        ] => each(names, Service::remove),
        ["compose", "--file", _, "down"] => each(&[], Service::remove),
        _ => Err(format!(
            "the stand-in for docker does not know: {}",
            words.join(" ")
        )),
    }
}

/// For the services of these names, or for all.
fn each(names: &[&str], act: fn(&Service) -> Result<(), String>) -> Result<(), String> {
    let directory = env::var_os(DIRECTORY).ok_or_else(|| format!("{DIRECTORY} is not set"))?;
    for name in names {
        if !SERVICES.iter().any(|(known, _)| known == name) {
            return Err(format!("no such service: {name}"));
        }
    }
    let other = env::var(PORT).ok().and_then(|port| port.parse().ok());
    let chosen = SERVICES
        .iter()
        .filter(|(name, _)| names.is_empty() || names.contains(name));
    for (name, port) in chosen {
        let directory = Path::new(&directory).join(name);
        let service = Service {
            name,
            port: other.unwrap_or(*port),
            directory,
        };
        act(&service).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

struct Service {
    name: &'static str,
    port: u16,
    directory: PathBuf,
}

impl Service {
    fn up(&self) -> Result<(), String> {
        if self.running().is_none() {
            // Until its parent has heard of its end, PostgreSQL takes the last process for one that
            // runs.
            let is_left = || {
                self.last()
                    .is_some_and(|pid| test_kill_process(pid).is_ok())
            };
            self.wait_for("its last process is not reaped", || !is_left())?;
            self.launch().map_err(|error| error.to_string())?;
        }
        let begin = Instant::now();
        while let Err(error) = self.answers() {
            if begin.elapsed() > START_LIMIT || self.running().is_none() {
                let written = fs::read_to_string(self.directory.join("output"));
                return Err(format!(
                    "it does not answer: {error}\n{}",
                    written.unwrap_or_default()
                ));
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.prepare()
    }

    fn kill(&self) -> Result<(), String> {
        let pid = self.running().ok_or("it is not running")?;
        tree::kill(pid);
        // A process that is dead may have threads that are not, and they keep the port.
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, self.port));
        self.wait_for("its port is still in use", || bind().is_ok())
    }

    fn wait_for(&self, reason: &str, condition: impl Fn() -> bool) -> Result<(), String> {
        let begin = Instant::now();
        while !condition() {
            if begin.elapsed() > START_LIMIT {
                return Err(format!("{}: {reason}", self.name));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn pause(&self) -> Result<(), String> {
        let pid = self.running().ok_or("it is not running")?;
        if tree::is_stopped(pid) {
            return Err("it is paused already".to_owned());
        }
        tree::stop(pid);
        Ok(())
    }

    fn unpause(&self) -> Result<(), String> {
        let pid = self.running().filter(|pid| tree::is_stopped(*pid));
        tree::resume(pid.ok_or("it is not paused")?);
        Ok(())
    }

    fn remove(&self) -> Result<(), String> {
        let _ = self.kill();
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// The id of its last process.
    fn last(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.directory.join("stand-in.pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// The process id, if the process runs.
    fn running(&self) -> Option<Pid> {
        self.last()
            .filter(|pid| test_kill_process(*pid).is_ok() && !tree::has_ended(*pid))
    }

    fn launch(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let recipe = self.recipe();
        let output = self.directory.join("output");
        let output = OpenOptions::new().create(true).append(true).open(output)?;
        let mut command = Command::new(&recipe.program);
        command
            .args(&recipe.args)
            .current_dir(&self.directory)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        if let Some(account) = recipe.account {
            account.own(&self.directory);
            account.run(&mut command);
        }
        let pid = command.spawn()?.id();
        fs::write(self.directory.join("stand-in.pid"), pid.to_string())?;
        Self::end_with_owner(pid)
    }

    /// A shell that waits for the owner's end.
    fn end_with_owner(pid: u32) -> io::Result<()> {
        const SCRIPT: &str = r#"while kill -0 "$1" 2>&-; do kill -0 "$2" 2>&- || exit; sleep 1; done; kill -KILL "$2" "-$2""#;
        let Ok(owner) = env::var(OWNER) else {
            return Ok(());
        };
        let mut shell = Command::new("sh");
        shell
            .args(["-c", SCRIPT, "watch", &owner, &pid.to_string()])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        shell.spawn().map(drop)
    }

    fn recipe(&self) -> Recipe {
        match self.name {
            "redis" | "valkey" | "redis-primary" => redis::recipe(self.port),
            "redis-replica" => {
                let primary = (self.port - 1).to_string();
                redis::recipe(self.port).args(["--replicaof", "127.0.0.1", &primary])
            }
            "redis-sentinel" => redis_sentinel::recipe(self.port, &self.directory, self.port - 2),
            "mongo" => mongo::recipe(self.port, &self.directory, 5.0),
            "postgres" => postgres::recipe(self.port, &self.directory, &[]),
            "mariadb" | "mysql" => mariadb::recipe(self.port, &self.directory, &[]),
            _ if self.is_redis() => {
                let arguments =
                    redis_cluster::arguments(self.port + redis_cluster::BUS, "127.0.0.1");
                redis::recipe(self.port).args(arguments)
            }
            _ => memcached::recipe(self.port),
        }
    }

    fn is_redis(&self) -> bool {
        self.name.starts_with("redis") || self.name == "valkey"
    }

    fn answers(&self) -> io::Result<()> {
        let answers = match self.name {
            _ if self.is_redis() => redis::answers,
            "mongo" => mongo::answers,
            "postgres" => postgres::answers,
            "mariadb" | "mysql" => mariadb::answers,
            _ => memcached::answers,
        };
        answers(self.port)
    }

    /// What the images make at their first start and the server's own tools do not.
    fn prepare(&self) -> Result<(), String> {
        if self.name == "postgres" {
            postgres::make_account(self.port).map_err(|error| error.to_string())
        } else {
            Ok(())
        }
    }
}
