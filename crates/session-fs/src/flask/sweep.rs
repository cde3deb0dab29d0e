//! The implementation of `ExpiredSweep` for cachelib's files.

use std::{ffi::CStr, time::SystemTime};

use session_core::{ExpiredSweep, Result, async_trait};

use super::{layout, store::CachelibStore};
use crate::{directory::Directory, error::CallError, staged, sweep_run::SweepRun};

#[async_trait]
impl ExpiredSweep for CachelibStore {
    /// Removes expired files whose names are those of sessions. Requests are served meanwhile.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<u64> {
        let root = self.root.clone();
        let sweep = move |run: &mut SweepRun| match root.open()? {
            Some(root) => run.sweep_directory(&root, |run, name| sweep_file(run, &root, name)),
            None => Ok(()),
        };
        SweepRun::start(&self.root, instant, limit, sweep).await
    }
}

fn sweep_file(run: &mut SweepRun, root: &Directory, name: &CStr) -> Result<(), CallError> {
    if layout::is_name(name.to_bytes()) {
        return run.remove_if_expired(root, name, layout::expiry);
    }
    staged::remove_if_orphaned(root, name, layout::SUFFIX)
}
