//! The services of docker-compose.yml.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::host::Host;

/// Set by `cargo xtask test --compose`: the tests use the services of docker-compose.yml.
const VARIABLE: &str = "SESSION_TEST_COMPOSE";

/// Names the program that stands for `docker` while there is no Docker engine.
const DOCKER: &str = "SESSION_TEST_DOCKER";

/// Each service and its port of 127.0.0.1, as docker-compose.yml has them.
pub const SERVICES: &[(&str, u16)] = &[
    ("redis", 31379),
    ("valkey", 31380),
    ("memcached", 31211),
    ("memcached-2", 31212),
    ("memcached-3", 31213),
    ("mongo", 31017),
    ("postgres", 31432),
    ("mariadb", 31306),
    ("mysql", 31307),
    ("redis-cluster-1", 31391),
    ("redis-cluster-2", 31392),
    ("redis-cluster-3", 31393),
    ("redis-cluster-4", 31394),
    ("redis-cluster-5", 31395),
    ("redis-cluster-6", 31396),
    ("redis-primary", 31401),
    ("redis-replica", 31402),
    ("redis-sentinel", 31403),
];

/// Whether the tests use the services.
pub(crate) fn in_use() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// The port of a service, where the tests use the services.
pub(crate) fn port(service: &str) -> Option<u16> {
    let mut services = SERVICES.iter().filter(|_| in_use());
    services
        .find(|(name, _)| *name == service)
        .map(|(_, port)| *port)
}

/// A service. All tests share it, so they run one after another.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    /// Whether a test has ended or frozen it and not brought it back.
    is_away: AtomicBool,
}

impl Service {
    /// The service on a port, where the tests use the services.
    pub(crate) fn on(port: u16) -> Option<Self> {
        let service = SERVICES.iter().find(|(_, own)| in_use() && *own == port);
        service.map(|(name, _)| Self {
            name,
            is_away: AtomicBool::new(false),
        })
    }

    /// Puts a new one in its place, without data and with the settings of docker-compose.yml.
    pub(crate) fn renew(&self) {
        self.must(&["rm", "--stop", "--force"]);
        self.must(&["up", "--detach", "--wait"]);
    }

    fn compose(&self, args: &[&str]) -> Result<(), String> {
        let docker = env::var_os(DOCKER).unwrap_or_else(|| "docker".into());
        let mut command = Command::new(docker);
        command.arg("compose").arg("--file").arg(file());
        command.args(args).arg(self.name);
        let output = command
            .output()
            .map_err(|error| format!("{command:?}: {error}"))?;
        if output.status.success() {
            Ok(())
        } else {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?}: {text}"))
        }
    }

    fn must(&self, args: &[&str]) {
        self.compose(args).unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Host for Service {
    fn start(&self) -> Result<(), String> {
        self.compose(&["up", "--detach", "--wait"])?;
        self.is_away.store(false, Relaxed);
        Ok(())
    }

    fn kill(&self) {
        // One that has ended already cannot be killed, and one that is paused neither.
        if self.is_away.swap(true, Relaxed) {
            let _ = self.compose(&["unpause"]);
        }
        let _ = self.compose(&["kill"]);
    }

    fn freeze(&self) {
        self.is_away.store(true, Relaxed);
        self.must(&["pause"]);
    }

    fn thaw(&self) {
        self.must(&["unpause"]);
        self.is_away.store(false, Relaxed);
    }
}

impl Drop for Service {
    /// The next test finds it running, whatever this one has done.
    fn drop(&mut self) {
        if self.is_away.load(Relaxed) {
            let _ = self.compose(&["unpause"]);
            let _ = self.start();
        }
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml")
}
