//! Installs Debian packages.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use crate::paths::installed;
use crate::steps::{StepResult, Steps};

/// Installs Debian's `packages`, or says which line does.
///
/// Versions are not pinned: a distribution keeps only its newest.
pub(crate) fn install(steps: &mut Steps, packages: &[&str]) -> StepResult {
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
const MARK: &str = "# Written by cargo xtask setup";

/// Keeps the packages from starting their servers, which nobody has asked for, as long as this
/// value lives.
struct Policy {
    ours: bool,
}

impl Policy {
    fn write() -> io::Result<Self> {
        if fs::read_to_string(POLICY).is_ok_and(|text| !text.contains(MARK)) {
            return Ok(Self { ours: false });
        }
        // Left behind by a kill, it forbids nothing any more.
        let text = format!(
            "#!/bin/sh\n{MARK}\nkill -0 {} 2>/dev/null && exit 101\nexit 0\n",
            std::process::id()
        );
        fs::write(POLICY, text)?;
        fs::set_permissions(POLICY, Permissions::from_mode(0o755))?;
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
