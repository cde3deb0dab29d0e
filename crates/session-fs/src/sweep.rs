use std::{
    ffi::CStr,
    time::{Instant, SystemTime},
};

use rustix::fs::Mode;
use session_core::{ExpiredSweep, Result, async_trait};

use crate::{
    directory::Directory,
    fault::Fault,
    layout,
    name::{Name, shard_name},
    owners::{OWNERS, drop_if_over},
    staged::remove_if_orphaned,
    store::FileStore,
    walk::Walk,
};

#[async_trait]
impl ExpiredSweep for FileStore {
    /// Removes records and index entries whose time has passed, damaged records, and what killed processes left;
    /// requests go on meanwhile.
    ///
    /// Runs on a thread that may block, and stops if its future is dropped. A call that removes less than `limit` has
    /// been through the whole directory; the next one after a full `limit` goes on from there.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<u64> {
        let store = self.clone();
        Ok(Walk::run(instant, limit, move |walk| store.pass(walk)).await?)
    }
}

impl FileStore {
    /// Counts a new session and starts a sweep in the background if they are more than the threshold.
    pub(crate) fn sweep_if_crowded(&self) {
        if self.threshold.is_some_and(|it| self.pace.one_more(it)) {
            let store = self.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                if let Err(error) = store.sweep(usize::MAX).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "sweep failed");
                }
                store.pace.swept(begun);
            });
        }
    }

    fn pass(&self, walk: &mut Walk) -> Result<(), Fault> {
        let Some(root) = self.root.open()? else {
            return Ok(());
        };
        let first = self.pace.shard();
        for shard in (0..=u8::MAX).map(|offset| first.wrapping_add(offset)) {
            // A shard that cannot be swept must not keep the next call from the others.
            self.pace.go_on_from(shard.wrapping_add(1));
            if let Some(records) = ours(root.child(shard_name(shard)))? {
                walk.through(&records, |walk, name| see(walk, &records, shard, name))?;
            }
            if walk.is_full() {
                self.pace.go_on_from(shard);
                return Ok(());
            }
        }
        self.pace.counted(walk.live);
        walk.through(&root, |_, name| remove_if_orphaned(&root, name, ""))?;
        let Some(owners) = ours(root.child(OWNERS))? else {
            return Ok(());
        };
        for shard in 0..=u8::MAX {
            if let Some(shard) = ours(owners.child(shard_name(shard)))? {
                walk.through(&shard, |walk, name| see_owner(walk, &shard, name))?;
            }
        }
        Ok(())
    }
}

fn see(walk: &mut Walk, records: &Directory, shard: u8, name: &CStr) -> Result<(), Fault> {
    if Name::parse(name.to_bytes()).is_none_or(|name| name.shard() != shard) {
        return remove_if_orphaned(records, name, "");
    }
    walk.remove_if_over(records, name, layout::expiry)
}

fn see_owner(walk: &mut Walk, shard: &Directory, name: &CStr) -> Result<(), Fault> {
    let owner = Name::parse(name.to_bytes()).map_or(Ok(None), |_| ours(shard.child(name)))?;
    if let Some(entries) = owner {
        walk.through(&entries, |walk, name| {
            drop_if_over(&entries, name, walk.instant)
        })?;
        // The mode is all there is to tell an empty directory of ours by.
        if entries.mode()? == Mode::RWXU {
            shard.remove_empty(name)?;
        }
    }
    Ok(())
}

/// What somebody else put where a directory of ours would be is theirs.
fn ours(opened: Result<Option<Directory>, Fault>) -> Result<Option<Directory>, Fault> {
    match opened {
        Err(Fault::Directory { .. }) => Ok(None),
        other => other,
    }
}
