//! The harness on services of docker compose: the file and the harness agree, and the stand-in obeys
//! the words that the harness says.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use session_tests::{SERVICES, free_port, scratch_dir, target_dir};
use tempfile::TempDir;

#[test]
fn docker_compose_has_the_services_of_the_harness_on_their_ports() {
    let text = fs::read_to_string(file()).expect("the file is there");
    for (name, port) in SERVICES {
        let service = text.split(&format!("\n  {name}:\n")).nth(1);
        let service = service.unwrap_or_else(|| panic!("no service {name}"));
        let service = service.split("\n\n").next().unwrap_or_default();
        let own = format!("\"127.0.0.1:{port}:");
        let shared = format!("PORT: \"{port}\"");
        assert!(
            service.contains(&own) || service.contains(&shared),
            "{name} is not on port {port}:\n{service}"
        );
    }
}

/// `docker compose up --wait` waits for no more than the start of a service without one.
#[test]
fn each_service_of_docker_compose_has_a_healthcheck() {
    let text = fs::read_to_string(file()).expect("the file is there");
    // A block begins in the first column, and a service in the third.
    let shared: Vec<_> = text
        .split("\n\n")
        .filter(|it| it.starts_with("x-"))
        .collect();
    let services = text.split("\nservices:\n").nth(1).expect("services");
    let services = services.split("\nconfigs:\n").next().unwrap_or_default();
    let services: Vec<_> = services.split("\n\n").collect();
    // That which lends its network has no port of its own.
    assert_eq!(services.len(), SERVICES.len() + 1);
    let has_one = |block: &&str| {
        let mut lines = block.lines().map(str::trim);
        lines.any(|line| line.starts_with("healthcheck:"))
    };
    for service in services {
        let is_merged = |block: &&&str| {
            let name = block.split(['&', '\n']).nth(1).unwrap_or_default();
            service.contains(&format!("<<: *{name}\n"))
        };
        let mut blocks = shared.iter().filter(is_merged).chain([&service]);
        assert!(blocks.any(has_one), "no healthcheck:\n{service}");
    }
}

/// Runs the stand-in with a directory of its own.
struct StandIn {
    directory: TempDir,
    port: u16,
}

impl StandIn {
    fn compose(&self, words: &[&str]) -> Output {
        let mut command = Command::new(target_dir().join("debug/docker-stand-in"));
        command.args(["compose", "--file"]).arg(file()).args(words);
        command.env("SESSION_TEST_STAND_IN", self.directory.path());
        command.env("SESSION_TEST_STAND_IN_PORT", self.port.to_string());
        let owner = std::process::id().to_string();
        command.env("SESSION_TEST_STAND_IN_OWNER", owner);
        command.output().expect("the stand-in is built")
    }

    #[track_caller]
    fn must(&self, words: &[&str]) {
        let output = self.compose(words);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {text}");
    }

    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        assert!(!self.compose(words).status.success(), "{words:?}");
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.compose(&["down"]);
    }
}

/// On the one service whose server is quickest.
#[test]
fn the_stand_in_for_docker_obeys_its_words() {
    let port = free_port();
    let directory = scratch_dir();
    let stand_in = StandIn { directory, port };
    let up = ["up", "--detach", "--wait", "memcached"];
    stand_in.must(&up);
    stand_in.must(&up);
    stand_in.must(&["pause", "memcached"]);
    stand_in.refuses(&["pause", "memcached"]);
    stand_in.must(&["unpause", "memcached"]);
    stand_in.refuses(&["unpause", "memcached"]);
    stand_in.must(&["kill", "memcached"]);
    stand_in.refuses(&["kill", "memcached"]);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    stand_in.must(&up);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    stand_in.must(&["rm", "--stop", "--force", "memcached"]);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    stand_in.refuses(&["up", "--detach", "--wait", "oracle"]);
    stand_in.refuses(&["restart", "memcached"]);
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml")
}
