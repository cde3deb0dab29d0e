//! The implementation of `ExpiredSweep`, and the sweeps that inserts start in the background.

use std::{
    error::Error,
    ffi::{CStr, CString},
    time::{Duration, Instant, SystemTime},
};

use rustix::fs::Mode;
use session_core::{ExpiredSweep, Swept, async_trait};

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

/// The number of directories that a sweep visits: those of the records, those of the owner index, and
/// the one that has them all.
pub(crate) const DIRECTORIES: u16 = 2 * 256 + 1;

#[async_trait]
impl ExpiredSweep for FileStore {
    /// Removes expired records and index entries, damaged records, and files that killed processes
    /// left. Requests are served meanwhile.
    ///
    /// Runs on a thread that may block, and stops if its future is dropped. A call that is not done
    /// keeps the names of one of the 513 directories in memory, and the next call continues there, also
    /// after an error or a dropped call. The index entries of one owner are looked at in one call.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> session_core::Result<Swept> {
        self.sweep_within(Swept::LONGEST_CALL, instant, limit).await
    }
}

impl FileStore {
    async fn sweep_within(
        &self,
        time: Duration,
        instant: SystemTime,
        limit: usize,
    ) -> session_core::Result<Swept> {
        let store = self.clone();
        SweepRun::start(&self.root, instant, limit, time, move |run| {
            store.sweep_files(run)
        })
        .await
    }

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
                loop {
                    match store.sweep(usize::MAX).await {
                        Ok(swept) if swept.is_done => break,
                        Ok(_) => {}
                        Err(error) => {
                            let error: &dyn Error = &error;
                            tracing::warn!(
                                error,
                                "expired files could not be removed; a later new session starts another attempt"
                            );
                            break;
                        }
                    }
                }
                store.schedule.finish(started);
            });
        }
    }

    /// Returns whether everything is visited.
    fn sweep_files(&self, run: &mut SweepRun) -> Result<bool> {
        let Some(root) = self.root.open()? else {
            return Ok(true);
        };
        let live = run.sweep_from(&self.position, |run, number, names| {
            sweep_directory(run, &root, number, names)
        })?;
        if let Some(live) = live {
            self.schedule.record_live(live);
        }
        Ok(live.is_some())
    }
}

/// Visits the files called `names` in the directory with this number, or all of its files.
fn sweep_directory(
    run: &mut SweepRun,
    root: &Directory,
    number: u16,
    names: Option<Vec<CString>>,
) -> Result<()> {
    let [kind, shard] = number.to_be_bytes();
    match kind {
        0 => {
            let files = skip_foreign(root.child(shard_name(shard)))?;
            files.map_or(Ok(()), |files| {
                run.sweep_names(&files, names, |run, name| {
                    sweep_record(run, &files, shard, name)
                })
            })
        }
        1 => {
            let owners = skip_foreign(root.child(OWNERS))?;
            let shard = owners.map_or(Ok(None), |it| skip_foreign(it.child(shard_name(shard))))?;
            shard.map_or(Ok(()), |shard| {
                run.sweep_names(&shard, names, |run, name| sweep_owner(run, &shard, name))
            })
        }
        _ => run.sweep_names(root, names, |_, name| remove_if_orphaned(root, name, "")),
    }
}

fn sweep_record(run: &mut SweepRun, files: &Directory, shard: u8, name: &CStr) -> Result<()> {
    if Name::parse(name.to_bytes()).is_none_or(|name| name.shard() != shard) {
        return remove_if_orphaned(files, name, "");
    }
    run.remove_if_expired(files, name, layout::expiry)
}

fn sweep_owner(run: &SweepRun, shard: &Directory, name: &CStr) -> Result<()> {
    let owner =
        Name::parse(name.to_bytes()).map_or(Ok(None), |_| skip_foreign(shard.child(name)))?;
    if let Some(entries) = owner {
        for name in run.names(&entries)? {
            run.wanted()?;
            owner_index::remove_if_expired(&entries, &name, run.instant)?;
        }
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use session_core::{IndexEntry, OwnerIndex, OwnerKey, Record, SessionStore, StoreKey};

    use super::*;

    /// As for so many files that a call has the time for one of them alone.
    #[tokio::test]
    async fn calls_without_time_come_to_the_end_and_remove_all_that_has_expired() {
        let directory = tempfile::tempdir().unwrap();
        let store = FileStore::new(directory.path().join("sessions"));
        let now = SystemTime::now();
        let owner = OwnerKey::from_stored("user:ada");
        let (live, expired) = (100, 40);
        for number in 0..live + expired {
            let expires_at = if number < live {
                now + Duration::from_secs(3600)
            } else {
                UNIX_EPOCH
            };
            let record = Record {
                bytes: b"x"[..].into(),
                expires_at,
                entry: Some(IndexEntry {
                    owner: owner.clone(),
                    provider_session: None,
                    expires_at,
                }),
            };
            let key = StoreKey::from_stored(format!("session:{number}"));
            let inserted = store.insert(&key, &record).await.unwrap();
            assert!(inserted.is_stored());
        }
        // The first sweep begins at the first directory, the second one where that ended.
        for of_this_sweep in [expired, 0] {
            let (mut calls, mut removed) = (1, 0);
            loop {
                let swept = store.sweep_within(Duration::ZERO, now, 10).await.unwrap();
                assert!(swept.removed <= 1, "the call went on after its time");
                removed += swept.removed;
                if swept.is_done {
                    break;
                }
                calls += 1;
                assert!(calls < 2000, "the sweep does not come to its end");
            }
            assert_eq!(removed, of_this_sweep);
            // One for each file, or directory without a file.
            assert!(calls >= u64::from(DIRECTORIES), "{calls}");
        }
        let listed = std::sync::Arc::new(store)
            .owned_by(&owner, None, 1000)
            .await;
        assert_eq!(listed.unwrap().records.len(), 100);
    }
}
