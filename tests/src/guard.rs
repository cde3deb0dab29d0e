//! Does what is left to do when the test program ends, however it ends.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

/// Does its work when the test program ends without dropping it: a static, a panic while panicking,
/// SIGKILL.
///
/// A shell reads from a pipe that only the test program can close.
#[derive(Debug)]
pub(crate) struct Guard(Child);

const END: &str =
    r#"read -r _; kill -QUIT "$1"; kill -CONT "$1"; sleep 0.5; kill -KILL "$1" "-$1"; rm -rf "$2""#;

const RUN: &str = r#"read -r _; exec "$1""#;

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "guard"])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    shell
}

impl Guard {
    /// Ends the server and removes its directory.
    pub(crate) fn over(pid: Pid, directory: &Path) -> Self {
        let mut shell = shell(END);
        Self::start(shell.arg(pid.as_raw_nonzero().to_string()).arg(directory))
    }

    /// Runs a program, with this in its environment.
    pub(crate) fn running(program: &Path, name: &str, value: &str) -> Self {
        let mut shell = shell(RUN);
        Self::start(shell.arg(program).env(name, value))
    }

    fn start(shell: &mut Command) -> Self {
        Self(shell.spawn().expect("sh can be started"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Killed before its pipe is closed, or it would do its work.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
