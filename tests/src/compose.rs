//! Servers that `docker compose` runs.

use std::path::Path;
use std::process::Command;

/// A server that `docker compose` runs and whose address the environment names.
///
/// All tests share it, so tests that kill it must run one after another.
#[derive(Debug)]
pub(crate) struct Service(pub(crate) &'static str);

impl Service {
    pub(crate) fn kill(&self) {
        self.compose(&["kill"]);
    }

    pub(crate) fn start(&self) {
        self.compose(&["up", "--detach", "--wait"]);
    }

    pub(crate) fn freeze(&self) {
        self.compose(&["pause"]);
    }

    pub(crate) fn thaw(&self) {
        self.compose(&["unpause"]);
    }

    fn compose(&self, args: &[&str]) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
        let mut command = Command::new("docker");
        command
            .arg("compose")
            .arg("--file")
            .arg(file)
            .args(args)
            .arg(self.0);
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
