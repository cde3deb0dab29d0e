//! Ends servers when the test program ends without dropping them.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

/// Ends a server when the test program ends without dropping it: a static, a panic while panicking,
/// SIGKILL.
///
/// A shell reads from a pipe that only the test program can close.
#[derive(Debug)]
pub(crate) struct Guard(Child);

const SCRIPT: &str =
    r#"read -r _; kill -QUIT "$1"; kill -CONT "$1"; sleep 0.5; kill -KILL "$1" "-$1"; rm -rf "$2""#;

impl Guard {
    pub(crate) fn over(pid: Pid, directory: &Path) -> Self {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard", &pid.as_raw_nonzero().to_string()])
            .arg(directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(shell.expect("sh can be started"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Killed before its pipe is closed, or it would do its work.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
