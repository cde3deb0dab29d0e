//! The unprivileged account of the database servers.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The unprivileged account that a database server runs under when the tests run as root, which it
/// refuses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` unless the tests run as root: then `name`, or `nobody` where there is no such
    /// account.
    pub(crate) fn for_server(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let accounts = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
        let account = Self::find(&accounts, name).or_else(|| Self::find(&accounts, "nobody"));
        Some(account.unwrap_or_else(|| panic!("neither {name} nor nobody is in /etc/passwd")))
    }

    fn find(accounts: &str, name: &str) -> Option<Self> {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Self { uid, gid })
        })
    }

    #[cfg(feature = "sql")]
    pub(crate) fn uid(self) -> u32 {
        self.uid
    }

    pub(crate) fn own(self, path: &Path) {
        chown(path, Some(self.uid), Some(self.gid))
            .unwrap_or_else(|error| panic!("cannot give {} away: {error}", path.display()));
    }

    pub(crate) fn run(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}
