use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::port::free_port;
use crate::process::{Process, Recipe};
use crate::scratch::scratch_dir;

const START_LIMIT: Duration = Duration::from_secs(15);
const ATTEMPTS: usize = 5;

/// Asks the server on a port something that only a working one answers.
pub(crate) type Probe = fn(u16) -> io::Result<()>;

/// A server process on a port of 127.0.0.1: what all servers of the harness can do.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    port: u16,
    probe: Probe,
    process: Process,
    directory: TempDir,
}

impl Server {
    /// Starts what `recipe` makes of a port and a directory, on another port if somebody took it meanwhile.
    pub(crate) async fn start(
        name: &'static str,
        probe: Probe,
        recipe: impl Fn(u16, &Path) -> Recipe,
    ) -> Self {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let (port, directory) = (free_port(), scratch_dir());
            let recipe = recipe(port, directory.path());
            if let Some(account) = recipe.account {
                account.own(directory.path());
            }
            let process = Process::new(recipe, directory.path());
            let server = Self {
                name,
                port,
                probe,
                process,
                directory,
            };
            match server.launch().await {
                Ok(()) => return server,
                Err(text) => reason = text,
            }
            if !reason.contains("ddress already in use") {
                break;
            }
        }
        panic!("{reason}");
    }

    /// The port it listens on, also after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.process.pid().map(|pid| pid.as_raw_nonzero().get())
    }

    /// The server's own directory, removed with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends the server by SIGKILL and waits until it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Kills the server if it runs, starts it again on the same port and directory, and waits until it answers.
    pub async fn restart(&self) {
        self.kill();
        if let Err(reason) = self.launch().await {
            panic!("{reason}");
        }
    }

    /// Stops all its processes by SIGSTOP: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// What the server has written to its output so far.
    pub fn output(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }

    async fn launch(&self) -> Result<(), String> {
        self.process
            .launch()
            .map_err(|error| format!("{} cannot be started: {error}", self.name))?;
        let begin = Instant::now();
        loop {
            let (probe, port) = (self.probe, self.port);
            let answer = tokio::task::spawn_blocking(move || probe(port))
                .await
                .expect("a probe returns");
            // Looked at after the probe: a stranger on the port answers it while our process has given up.
            if let Some(status) = self.process.exited() {
                return Err(format!(
                    "{} ended at its start ({status}):\n{}",
                    self.name,
                    self.output()
                ));
            }
            match answer {
                Ok(()) => return Ok(()),
                Err(error) if begin.elapsed() > START_LIMIT => {
                    return Err(format!(
                        "{} on port {port} gives no answer after {START_LIMIT:?} ({error}):\n{}",
                        self.name,
                        self.output()
                    ));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}
