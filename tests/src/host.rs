//! What a test does to a server: the same words for a process and for a service of docker compose.

use std::fmt::Debug;
use std::process::ExitStatus;

/// Where a server runs.
pub(crate) trait Host: Debug + Send + Sync {
    /// Starts it, empty or with what it keeps; it need not answer yet.
    fn start(&self) -> Result<(), String>;

    /// Ends it by SIGKILL and waits until it has ended.
    fn kill(&self);

    /// Stops it by SIGSTOP: connections stay open and nothing answers.
    fn freeze(&self);

    /// Lets it continue.
    fn thaw(&self);

    /// Whether only its owner may start, end and change it.
    fn is_of_a_person(&self) -> bool {
        false
    }

    /// Its process id, while it is a process of the harness that runs.
    fn pid(&self) -> Option<i32> {
        None
    }

    /// How it ended, if that is known.
    fn exited(&self) -> Option<ExitStatus> {
        None
    }

    /// What it has written so far, if that is known.
    fn output(&self) -> String {
        String::new()
    }
}
