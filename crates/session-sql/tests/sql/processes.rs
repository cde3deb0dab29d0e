//! This test program as further processes, each of which runs one test.

use std::{env, process::Stdio};

use session_sql::TableName;
use tokio::process::{Child, Command};

/// A process that runs a test of this program.
pub(crate) struct Worker(Child);

impl Worker {
    /// Runs `test`. The environment names the table to it, and has `value` under `name`.
    pub(crate) fn start(test: &str, url: &str, table: &TableName, name: &str, value: &str) -> Self {
        let program = env::current_exe().expect("the system names the running program");
        let process = Command::new(program)
            .args(["--exact", test])
            .env("SESSION_SQL", url)
            .env("SESSION_SQL_TABLE", table.table())
            .env(name, value)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        Self(process.expect("the program can be started again"))
    }

    /// Waits for its end, which has to be a success.
    pub(crate) async fn succeeds(self) {
        let output = self.0.wait_with_output().await.expect("the process ends");
        let stdout = String::from_utf8_lossy(&output.stdout);
        // First what it says of its failure.
        let failure = stdout.split_once(" panicked at ").map_or("", |it| it.1);
        let failure = failure.split_once('\n').map_or("", |it| it.1);
        assert!(output.status.success(), "{failure}\n{output:?}");
        // The program also succeeds when no test has the name.
        assert!(stdout.contains("1 passed"), "{stdout}");
    }
}
