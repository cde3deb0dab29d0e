//! The implementation of `ExpiredSweep`, and the sweeps that inserts start in the background.

use std::{
    error::Error,
    ffi::CStr,
    iter::once,
    time::{Instant, SystemTime},
};

use rustix::fs::Mode;
use session_core::{ExpiredSweep, async_trait};

use crate::{
    directory::Directory,
    error::{CallError, Result},
    layout,
    name::{Name, shard_name},
    owner_index::{self, OWNERS},
    staged::remove_if_orphaned,
    store::FileStore,
    sweep_run::SweepRun,
};

#[async_trait]
impl ExpiredSweep for FileStore {
    /// Removes expired records and index entries, damaged records, and files that killed processes
    /// left. Requests are served meanwhile.
    ///
    /// Runs on a thread that may block, and stops if its future is dropped. A call that removes
    /// fewer than `limit` records has visited the whole directory. After a call that removed
    /// `limit` records, the next call continues where it stopped.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> session_core::Result<u64> {
        let store = self.clone();
        SweepRun::start(&self.root, instant, limit, move |run| {
            store.sweep_files(run)
        })
        .await
    }
}

impl FileStore {
    /// Counts a new session, and starts a sweep in the background if there are more sessions than
    /// the threshold.
    pub(crate) fn sweep_above_threshold(&self) {
        let Some(threshold) = self.threshold else {
            return;
        };
        if self.schedule.count_insert(threshold) {
            let store = self.clone();
            tokio::spawn(async move {
                let started = Instant::now();
                if let Err(error) = store.sweep(usize::MAX).await {
                    let error: &dyn Error = &error;
                    tracing::warn!(
                        error,
                        "expired files could not be removed; a later new session starts another attempt"
                    );
                }
                store.schedule.finish(started);
            });
        }
    }

    fn sweep_files(&self, run: &mut SweepRun) -> Result<()> {
        let Some(root) = self.root.open()? else {
            return Ok(());
        };
        let (first, rest) = self.position.take();
        // First what the last call left. Then everything: files before that may have expired.
        let whole = (0..=u8::MAX).map(|offset| (first.wrapping_add(offset), None));
        for (shard, rest) in once((first, Some(rest))).chain(whole) {
            // A shard that cannot be swept must not keep the next call from the others.
            self.position.set(shard.wrapping_add(1), Vec::new());
            let Some(files) = skip_foreign(root.child(shard_name(shard)))? else {
                continue;
            };
            let mut names = rest.map_or_else(|| run.names(&files), Ok)?;
            run.sweep_names(&mut names, |run, name| {
                sweep_record(run, &files, shard, name)
            })?;
            if run.is_at_limit() {
                self.position.set(shard, names);
                return Ok(());
            }
        }
        self.schedule.record_live(run.live);
        run.sweep_directory(&root, |_, name| remove_if_orphaned(&root, name, ""))?;
        let Some(owners) = skip_foreign(root.child(OWNERS))? else {
            return Ok(());
        };
        for shard in 0..=u8::MAX {
            if let Some(shard) = skip_foreign(owners.child(shard_name(shard)))? {
                run.sweep_directory(&shard, |run, name| sweep_owner(run, &shard, name))?;
            }
        }
        Ok(())
    }
}

fn sweep_record(run: &mut SweepRun, files: &Directory, shard: u8, name: &CStr) -> Result<()> {
    if Name::parse(name.to_bytes()).is_none_or(|name| name.shard() != shard) {
        return remove_if_orphaned(files, name, "");
    }
    run.remove_if_expired(files, name, layout::expiry)
}

fn sweep_owner(run: &mut SweepRun, shard: &Directory, name: &CStr) -> Result<()> {
    let owner =
        Name::parse(name.to_bytes()).map_or(Ok(None), |_| skip_foreign(shard.child(name)))?;
    if let Some(entries) = owner {
        run.sweep_directory(&entries, |run, name| {
            owner_index::remove_if_expired(&entries, name, run.instant)
        })?;
        // Only the mode distinguishes an empty directory of this store from a foreign one.
        if entries.mode()? == Mode::RWXU {
            shard.remove_empty(name)?;
        }
    }
    Ok(())
}

/// `None` if something that this store did not make is where one of its directories would be.
fn skip_foreign(opened: Result<Option<Directory>>) -> Result<Option<Directory>> {
    match opened {
        Err(CallError::UnsafeDirectory { .. }) => Ok(None),
        other => other,
    }
}
