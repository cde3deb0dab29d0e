//! Paths of the workspace, of cargo and of programs.

use std::env;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in the workspace")
}

/// Cargo's target directory, which this program lies in.
pub(crate) fn target() -> PathBuf {
    let program = env::current_exe().expect("the system names the running program");
    let found = program
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file());
    found.expect("cargo marks its target directory").to_owned()
}

/// A program of the workspace, built in the profile of this one.
pub(crate) fn built(name: &str) -> PathBuf {
    let program = env::current_exe().expect("the system names the running program");
    program.with_file_name(name)
}

/// More tests at once than there are cores: most of the time they wait for their servers.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// The cargo that runs this, in the workspace.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    // What cargo says to this program of its package would make build scripts run again that look
    // at it, and with them half of the dependencies be compiled again.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            command.env_remove(name);
        }
    }
    if env::var_os(TEST_THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        command.env(TEST_THREADS, (cores + 2).to_string());
    }
    command
}

/// Whether a program of this name is installed, also where an ordinary user's PATH does not lead.
pub(crate) fn installed(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let postgres = Path::new("/usr/lib/postgresql")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/libexec"].map(PathBuf::from))
        .chain(postgres.map(|version| version.path().join("bin")))
        .any(|dir| dir.join(name).exists())
}
