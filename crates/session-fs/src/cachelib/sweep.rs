use std::{ffi::CStr, time::SystemTime};

use session_core::{ExpiredSweep, Result, async_trait};

use super::{CachelibStore, SUFFIX, layout};
use crate::{directory::Directory, fault::Fault, staged::remove_if_orphaned, walk::Walk};

#[async_trait]
impl ExpiredSweep for CachelibStore {
    /// Removes expired files whose names are those of sessions; requests go on meanwhile.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<u64> {
        let root = self.root.clone();
        let sweep = move |walk: &mut Walk| match root.open()? {
            Some(root) => walk.through(&root, |walk, name| see(walk, &root, name)),
            None => Ok(()),
        };
        Ok(Walk::run(instant, limit, sweep).await?)
    }
}

fn see(walk: &mut Walk, root: &Directory, name: &CStr) -> Result<(), Fault> {
    if layout::is_name(name.to_bytes()) {
        return walk.remove_if_over(root, name, layout::expiry);
    }
    remove_if_orphaned(root, name, SUFFIX)
}
