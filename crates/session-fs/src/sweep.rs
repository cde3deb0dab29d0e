use std::time::Instant;

use session_core::{ExpiredSweep, Result, async_trait};

use crate::{
    blocking::blocking,
    directory::Directory,
    fault::Fault,
    name::shard_name,
    owner_scan::OwnerScan,
    scan::{Scan, Tally},
    store::FileStore,
};

#[async_trait]
impl ExpiredSweep for FileStore {
    /// Removes expired and damaged records, and what killed processes left; requests go on meanwhile.
    ///
    /// At most 1000 directory entries are looked at in one go on a thread that may block. A call that removes less
    /// than `limit` has been through the whole directory; the next one after a full `limit` goes on from there.
    async fn sweep(&self, limit: usize) -> Result<u64> {
        Ok(self.pass(limit.try_into().unwrap_or(u64::MAX)).await?)
    }
}

impl FileStore {
    /// Counts a new session and starts a sweep in the background if they are more than the threshold.
    pub(crate) fn sweep_if_crowded(&self) {
        let Some(threshold) = self.threshold else {
            return;
        };
        if !self.pace.one_more(threshold) {
            return;
        }
        let store = self.clone();
        tokio::spawn(async move {
            let _running = store.pace.running(Instant::now());
            if let Err(fault) = store.pass(u64::MAX).await {
                let error = session_core::Error::from(fault);
                tracing::warn!(error = &error as &dyn std::error::Error, "sweep failed");
            }
        });
    }

    async fn pass(&self, limit: u64) -> Result<u64, Fault> {
        let mut total = Tally::default();
        let first = self.pace.shard();
        for offset in 0..=u8::MAX {
            let shard = first.wrapping_add(offset);
            // A shard that cannot be swept must not keep the next call from the others.
            self.pace.go_on_from(shard.wrapping_add(1));
            let mut scan = self.shard_scan(shard).await?;
            while let Some(open) = scan {
                let left = limit - total.removed;
                let (rest, tally) = blocking(move || open.step(left)).await?;
                scan = rest;
                total.removed += tally.removed;
                total.live += tally.live;
                if total.removed == limit {
                    self.pace.go_on_from(shard);
                    return Ok(limit);
                }
            }
        }
        self.pace.counted(total.live);
        self.sweep_staged().await?;
        for shard in 0..=u8::MAX {
            self.sweep_owners(shard).await?;
        }
        Ok(total.removed)
    }

    async fn shard_scan(&self, shard: u8) -> Result<Option<Scan>, Fault> {
        let files = self.files.clone();
        blocking(move || {
            let Some(root) = files.root()? else {
                return Ok(None);
            };
            unless_foreign(root.child(&shard_name(shard)))?
                .map(|directory| Scan::new(directory, Some(shard)))
                .transpose()
        })
        .await
    }

    async fn sweep_staged(&self) -> Result<(), Fault> {
        let files = self.files.clone();
        let mut scan = blocking(move || {
            let root = files.root()?;
            root.map(|root| Scan::new(root, None)).transpose()
        })
        .await?;
        while let Some(open) = scan {
            (scan, _) = blocking(move || open.step(u64::MAX)).await?;
        }
        Ok(())
    }

    async fn sweep_owners(&self, shard: u8) -> Result<(), Fault> {
        let files = self.files.clone();
        let mut scan = blocking(move || {
            unless_foreign(files.owner_shard(shard))?
                .map(|directory| OwnerScan::new(files, directory))
                .transpose()
        })
        .await?;
        while let Some(open) = scan {
            scan = blocking(move || open.step()).await?;
        }
        Ok(())
    }
}

/// What somebody else put where a directory of ours would be is theirs.
fn unless_foreign(opened: Result<Option<Directory>, Fault>) -> Result<Option<Directory>, Fault> {
    match opened {
        Err(Fault::Directory(_)) => Ok(None),
        other => other,
    }
}
