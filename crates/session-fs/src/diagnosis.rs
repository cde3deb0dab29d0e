//! What is wrong with a directory.

use std::time::{Duration, SystemTime};

use session_core::{Finding, Result};

use crate::{
    blocking::blocking,
    error::{CallError, Result as FileResult},
    file,
    layout::{HEADER, expiry},
    name::{Name, shard_name},
    root::Root,
    store::FileStore,
    unix_time,
};

/// How long after its time a file is still there because the sweep has not come to it.
const SWEEP_LATE: Duration = Duration::from_secs(24 * 60 * 60);

/// What the files of a directory come to.
#[derive(Default)]
struct Files {
    damaged: u64,
    foreign: u64,
    late: u64,
}

impl FileStore {
    /// Reads every file, and its checksum.
    pub(crate) async fn findings(&self) -> Result<Vec<Finding>> {
        let root = self.root.clone();
        let files = blocking(&self.root, move || root.checked()).await?;
        let mut findings = Vec::new();
        if files.damaged > 0 {
            findings.push(Finding::new(
                format!(
                    "{} file(s) are truncated or changed, so their users are logged out.",
                    files.damaged
                ),
                "Check the disk. The sweep removes each when its time has passed, if that can be read.",
            ));
        }
        if files.foreign > 0 {
            findings.push(Finding::new(
                format!(
                    "{} file(s) have the name of a session's and are not of this store.",
                    files.foreign
                ),
                "Move them away, and give the sessions a directory of their own.",
            ));
        }
        if files.late > 0 {
            findings.push(Finding::new(
                format!(
                    "{} file(s) that expired more than a day ago are still there: nobody sweeps the directory.",
                    files.late
                ),
                "Run sweep_every in the application, or `sessionctl sweep` by cron.",
            ));
        }
        Ok(findings)
    }
}

impl Root {
    fn checked(&self) -> FileResult<Files> {
        let mut files = Files::default();
        let late = unix_time::to_millis(SystemTime::now() - SWEEP_LATE);
        for number in 0..=u8::MAX {
            let Some(shard) = self.open_below(&[&shard_name(number)])? else {
                continue;
            };
            let mut entries = shard.entries()?;
            while let Some(entry) = entries.read() {
                let Some(name) = Name::parse(entry?.file_name().to_bytes()) else {
                    continue;
                };
                match self.load(&name) {
                    Ok(None) => continue,
                    Ok(Some(_)) => {}
                    Err(error) if error.is_unreadable() => {
                        match kind(&error) {
                            CallError::Damaged => files.damaged += 1,
                            CallError::ForeignFile => files.foreign += 1,
                            // The walk of the records says so.
                            _ => {}
                        }
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                let start = file::start(&shard, name.to_string(), HEADER)?;
                let end = start.map(|it| expiry(&it)).transpose();
                files.late += u64::from(end.ok().flatten().is_some_and(|end| end < late));
            }
        }
        Ok(files)
    }
}

/// The error without its path.
fn kind(error: &CallError) -> &CallError {
    match error {
        CallError::At { error, .. } => kind(error),
        other => other,
    }
}
