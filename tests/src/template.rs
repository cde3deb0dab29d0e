//! Database directories that are created once and copied.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::Account;
use crate::scratch::scratch_dir;

/// A database directory as its server's own tool creates it, kept between runs because that takes
/// seconds.
pub(crate) struct Template {
    /// Names the directory: the server, its version and whatever else makes it differ.
    pub(crate) name: String,
    pub(crate) account: Option<Account>,
}

impl Template {
    /// Copies the template to `target`, unless that is there already; where there is no template yet,
    /// `create` fills a directory for it.
    pub(crate) fn copy_to(&self, target: &Path, create: impl FnOnce(&Path) -> Command) {
        if target.exists() {
            return;
        }
        let kept = self.path();
        if !self.usable(&kept) {
            let directory = scratch_dir();
            if let Some(account) = self.account {
                account.own(directory.path());
            }
            let fresh = directory.path().join("data");
            self.run(&mut create(&fresh));
            // Renaming is atomic, and where somebody else was first, theirs is as good as ours.
            if fs::rename(&fresh, &kept).is_err() {
                assert!(self.usable(&kept), "{} is in the way", kept.display());
            }
        }
        self.run(Command::new("cp").arg("-R").arg(&kept).arg(target));
    }

    fn path(&self) -> PathBuf {
        let uid = rustix::process::geteuid().as_raw();
        env::temp_dir().join(format!("session-tests-{}-{uid}", self.name))
    }

    /// A link, or a directory of another user, must not be used.
    fn usable(&self, path: &Path) -> bool {
        let owner = self
            .account
            .map_or(rustix::process::geteuid().as_raw(), Account::uid);
        fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == owner)
    }

    fn run(&self, command: &mut Command) {
        command.current_dir("/");
        if let Some(account) = self.account {
            account.run(command);
        }
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(
            output.status.success(),
            "{command:?} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
