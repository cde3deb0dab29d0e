use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;

use crate::paths::installed;
use crate::steps::{Outcome, Steps};

/// Installs Debian's `packages`, or says which line does.
///
/// Versions are not pinned: a distribution keeps only its newest.
pub(crate) fn install(steps: &mut Steps, packages: &[&str]) -> Outcome {
    let line = format!("sudo apt-get install --yes {}", packages.join(" "));
    if !installed("apt-get") {
        return Err(format!(
            "something is missing that Debian installs by: {line}"
        ));
    }
    if !is_root() {
        return Err(format!(
            "something is missing and only root can install it: {line}"
        ));
    }
    let _policy = Policy::write().map_err(|error| format!("{POLICY}: {error}"))?;
    steps.command("package lists", apt_get().arg("update"))?;
    let mut install = apt_get();
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages);
    steps.command("packages", &mut install)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
    command
}

fn is_root() -> bool {
    // A process's own entry belongs to the user it runs as.
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Keeps the packages from starting their servers, which nobody has asked for, as long as this value lives.
struct Policy {
    ours: bool,
}

impl Policy {
    fn write() -> std::io::Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(POLICY)?;
        file.write_all(b"#!/bin/sh\nexit 101\n")?;
        Ok(Self { ours: true })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("{POLICY} has to be removed by hand: {error}");
        }
    }
}
