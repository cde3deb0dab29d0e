//! A candidate as a process of its own.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use crate::{
    Result,
    candidate::Candidate,
    cpu,
    load::Load,
    plan::{Plan, Row},
    record,
};

/// A candidate as a process of its own: this program again, or an earlier one. It serves HTTP until
/// its standard input ends.
pub(crate) struct Contestant {
    pub(crate) candidate: Candidate,
    process: Child,
    load: Load,
}

impl Contestant {
    /// Starts `program` with its sessions in the store at `address`, and gives each visitor a
    /// session.
    pub(crate) async fn start(
        candidate: Candidate,
        mut program: Command,
        address: &str,
        plan: Plan,
        row: Row,
    ) -> Result<Self> {
        let core = plan.core.to_string();
        if let Some(owners) = row.owners {
            program.env(record::OWNERS, owners.to_string());
        }
        let mut process = program
            .args(["serve", candidate.served(), address, &core])
            .env(record::FILLER_LENGTH, row.filler.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = process.stdout.take().ok_or("a pipe was asked for")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let listens: SocketAddr = line
            .trim()
            .parse()
            .map_err(|_| format!("{} did not start", candidate.name()))?;
        let load = Load::on(listens, row).await?;
        Ok(Self {
            candidate,
            process,
            load,
        })
    }

    pub(crate) fn load(&mut self) -> &mut Load {
        &mut self.load
    }

    /// Ends it as it ends by itself, so that it can write what it has counted.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        self.process.wait()?;
        Ok(())
    }

    pub(crate) fn cpu(&self) -> Result<std::time::Duration> {
        cpu::used_by(self.process.id())
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
