use std::time::Instant;

use rustix::fs::Dir;
use session_core::{ExpiredSweep, Result, async_trait};

use super::{CachelibStore, layout, records::Records};
use crate::{
    blocking::blocking,
    clock,
    directory::Directory,
    fault::Fault,
    file,
    lock::{Lock, PATIENCE},
    scan::STEP,
    staged::is_staged_name,
};

#[async_trait]
impl ExpiredSweep for CachelibStore {
    /// Removes expired files whose names are those of sessions; requests go on meanwhile.
    async fn sweep(&self, limit: usize) -> Result<u64> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let records = self.records.clone();
        let mut walk = blocking(move || Walk::new(records)).await?;
        let mut total = 0;
        while let Some(open) = walk.filter(|_| total < limit) {
            let (rest, removed) = blocking(move || open.step(limit - total)).await?;
            walk = rest;
            total += removed;
        }
        Ok(total)
    }
}

struct Walk {
    records: Records,
    directory: Directory,
    entries: Dir,
}

impl Walk {
    fn new(records: Records) -> Result<Option<Self>, Fault> {
        let Some(directory) = Directory::open(&records.root)? else {
            return Ok(None);
        };
        let entries = directory.entries()?;
        Ok(Some(Self {
            records,
            directory,
            entries,
        }))
    }

    /// Looks at [`STEP`] more entries and removes no more than `limit`; gives itself back unless it is done.
    fn step(mut self, limit: u64) -> Result<(Option<Self>, u64), Fault> {
        let mut removed = 0;
        for _ in 0..STEP {
            if removed == limit {
                break;
            }
            let Some(entry) = self.entries.read() else {
                return Ok((None, removed));
            };
            let entry = entry?;
            let name = entry.file_name();
            if is_staged_name(name.to_bytes(), self.records.staging.suffix) {
                crate::scan::remove_if_orphaned(&self.directory, name, |_| true)?;
            } else if layout::is_name(name.to_bytes()) && self.is_over(name)? {
                let _lock = Lock::acquire(&self.directory, Instant::now() + PATIENCE)?;
                removed += u64::from(self.is_over(name)? && self.directory.unlink(name)?);
            }
        }
        Ok((Some(self), removed))
    }

    fn is_over(&self, name: &std::ffi::CStr) -> Result<bool, Fault> {
        let start = file::start(&self.directory, name)?;
        let ends = start.and_then(|start| layout::ends(start.bytes()));
        Ok(ends.is_some_and(|ends| ends != 0 && u64::from(ends) * 1000 <= clock::now()))
    }
}
