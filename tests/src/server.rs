//! What all servers of the harness have in common: start, kill, restart, freeze.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::given;
use crate::host::Host;
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
    host: Box<dyn Host>,
    directory: TempDir,
}

impl Server {
    /// Starts what `recipe` makes of a port and a directory, on another port if somebody took it
    /// meanwhile.
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
            let host = Box::new(Process::new(recipe, directory.path()));
            let server = Self {
                name,
                port,
                probe,
                host,
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

    /// Stands for a server that runs on `port` already.
    pub(crate) async fn attach(name: &'static str, port: u16, probe: Probe) -> Self {
        let server = Self {
            name,
            port,
            probe,
            host: given::host(port),
            directory: scratch_dir(),
        };
        if let Err(reason) = server.answers().await {
            panic!("{reason}");
        }
        server
    }

    /// The port it listens on, also after a restart.
    pub fn port(&self) -> u16 {
        // Whatever test has started it.
        given::uses_server(self.name);
        self.port
    }

    /// The process id, while it runs as a process of the harness.
    pub fn pid(&self) -> Option<i32> {
        self.host.pid()
    }

    /// The server's own directory, removed with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends the server by SIGKILL and waits until it has ended.
    pub fn kill(&self) {
        given::ends_its_server();
        self.host.kill();
    }

    /// Kills the server if it runs, starts it again on the same port and directory, and waits until
    /// it answers.
    pub async fn restart(&self) {
        self.kill();
        if let Err(reason) = self.launch().await {
            panic!("{reason}");
        }
    }

    /// Whether only its owner may start, end and change it.
    pub(crate) fn is_of_a_person(&self) -> bool {
        self.host.is_of_a_person()
    }

    /// Stops all its processes by SIGSTOP: connections stay open and nothing answers.
    pub fn freeze(&self) {
        given::ends_its_server();
        self.host.freeze();
    }

    /// Lets a frozen server continue.
    pub fn thaw(&self) {
        self.host.thaw();
    }

    /// What the server has written to its output so far.
    pub fn output(&self) -> String {
        self.host.output()
    }

    async fn launch(&self) -> Result<(), String> {
        self.host
            .start()
            .map_err(|error| format!("{} cannot be started: {error}", self.name))?;
        self.answers().await
    }

    async fn answers(&self) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let (probe, port) = (self.probe, self.port);
            let answer = tokio::task::spawn_blocking(move || probe(port))
                .await
                .expect("a probe returns");
            // Checked after the probe, because another program on the port may answer it while our
            // process has ended.
            if let Some(status) = self.host.exited() {
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
