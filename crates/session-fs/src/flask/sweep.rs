//! The implementation of `ExpiredSweep` for cachelib's files.

use std::{
    ffi::CStr,
    time::{Duration, SystemTime},
};

use session_core::{ExpiredSweep, Result, Swept, async_trait};

use super::{layout, store::CachelibStore};
use crate::{directory::Directory, error::CallError, staged, sweep_run::SweepRun};

#[async_trait]
impl ExpiredSweep for CachelibStore {
    /// Removes expired files whose names are those of sessions. Requests are served meanwhile.
    ///
    /// Runs on a thread that may block, and stops if its future is dropped. After a call that is not
    /// done, the next call continues where it stopped, also after an error or a dropped call. Until
    /// then the store keeps the names of the other files in memory, about 100 bytes each. The first
    /// call reads all names, also if that takes longer than a call should.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<Swept> {
        self.sweep_within(Swept::LONGEST_CALL, instant, limit).await
    }
}

impl CachelibStore {
    async fn sweep_within(
        &self,
        time: Duration,
        instant: SystemTime,
        limit: usize,
    ) -> Result<Swept> {
        let store = self.clone();
        SweepRun::start(&self.root, instant, limit, time, move |run| {
            store.sweep_files(run)
        })
        .await
    }

    /// Returns whether everything is visited.
    fn sweep_files(&self, run: &mut SweepRun) -> Result<bool, CallError> {
        let Some(root) = self.root.open()? else {
            return Ok(true);
        };
        let live = run.sweep_from(&self.position, |run, _, names| {
            run.sweep_names(&root, names, |run, name| sweep_file(run, &root, name))
        })?;
        Ok(live.is_some())
    }
}

fn sweep_file(run: &mut SweepRun, root: &Directory, name: &CStr) -> Result<(), CallError> {
    if layout::is_name(name.to_bytes()) {
        return run.remove_if_expired(root, name, layout::expiry);
    }
    staged::remove_if_orphaned(root, name, layout::SUFFIX)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use session_core::{Record, SessionStore, StoreKey};

    use super::*;

    /// As for so many files that a call has the time for one of them alone.
    #[tokio::test]
    async fn calls_without_time_come_to_the_end_and_remove_all_that_has_expired() {
        let directory = tempfile::tempdir().unwrap();
        let store = CachelibStore::new(directory.path().join("cache"));
        let now = SystemTime::now();
        for number in 0..60 {
            let expires_at = if number % 3 == 0 {
                UNIX_EPOCH
            } else {
                now + Duration::from_secs(3600)
            };
            let record = Record {
                bytes: b"{}"[..].into(),
                expires_at,
                entry: None,
            };
            let key = StoreKey::from_stored(format!("session:{number}"));
            let inserted = store.insert(&key, &record).await.unwrap();
            assert!(inserted.is_stored());
        }
        let (mut calls, mut removed) = (1, 0);
        loop {
            let swept = store.sweep_within(Duration::ZERO, now, 10).await.unwrap();
            removed += swept.removed;
            if swept.is_done {
                break;
            }
            calls += 1;
            assert!(calls < 100, "the sweep does not come to its end");
        }
        assert_eq!(removed, 20);
        assert!(calls >= 60, "{calls} calls looked at 60 files");
    }
}
