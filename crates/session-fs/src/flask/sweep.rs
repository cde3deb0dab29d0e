//! The implementation of `ExpiredSweep` for cachelib's files.

use std::{ffi::CStr, time::SystemTime};

use session_core::{ExpiredSweep, Result, async_trait};

use super::{layout, store::CachelibStore};
use crate::{directory::Directory, error::CallError, staged, sweep_run::SweepRun};

#[async_trait]
impl ExpiredSweep for CachelibStore {
    /// Removes expired files whose names are those of sessions. Requests are served meanwhile.
    ///
    /// Runs on a thread that may block, and stops if its future is dropped. After a call that
    /// removed `limit` files, the next call continues where it stopped. Until then the store keeps
    /// the names of the other files in memory, about 100 bytes each.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<u64> {
        let store = self.clone();
        SweepRun::start(&self.root, instant, limit, move |run| {
            store.sweep_files(run)
        })
        .await
    }
}

impl CachelibStore {
    fn sweep_files(&self, run: &mut SweepRun) -> Result<(), CallError> {
        let Some(root) = self.root.open()? else {
            return Ok(());
        };
        // First what the last call left. Then everything: files before that may have expired.
        for rest in [Some(self.position.take().1), None] {
            let mut names = rest.map_or_else(|| run.names(&root), Ok)?;
            run.sweep_names(&mut names, |run, name| sweep_file(run, &root, name))?;
            if run.is_at_limit() {
                self.position.set(0, names);
                break;
            }
        }
        Ok(())
    }
}

fn sweep_file(run: &mut SweepRun, root: &Directory, name: &CStr) -> Result<(), CallError> {
    if layout::is_name(name.to_bytes()) {
        return run.remove_if_expired(root, name, layout::expiry);
    }
    staged::remove_if_orphaned(root, name, layout::SUFFIX)
}
