//! The operations on records as files: load, insert, update, delete. Each of them blocks.

use rustix::io::Errno;
use session_core::{Record, Revision, StoreKey, Write};

use crate::{
    directory::Directory,
    error::{CallError, Result},
    file,
    layout::{self, StoredRecord},
    lock::Lock,
    name::{Name, shard_name},
    owner_index::entry_time,
    root::Root,
    staged::Staged,
};

/// The largest file in bytes that overwrites the old one in place when the disk is full: one page,
/// one block.
const ONE_BLOCK: usize = 4096;

impl Root {
    pub(crate) fn load(&self, name: &Name) -> Result<Option<StoredRecord>> {
        let Some(shard) = self.open_below(&[&shard_name(name.shard())])? else {
            return Ok(None);
        };
        let found = retry_damaged(&shard, || file::read(&shard, name));
        found.map_err(|error| error.at(&shard.path.join(name.to_string())))
    }

    /// Stores a record under a key that has none.
    pub(crate) fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let name = Name::of(key.as_str());
        let root = self.open_or_set_up()?;
        let shard = root.ensure(shard_name(name.shard()).as_str(), self.staging.durable)?;
        let bytes = layout::encode(key, record, entry_time(record, 0));
        let staged = Staged::write(&shard, &bytes, self.staging)?;
        self.change_entry(&root, &name, record, 0)?;
        match staged.link(&name.to_string()) {
            Err(Errno::EXIST) => return Ok(Write::Refused),
            other => other?,
        }
        shard.flush_if(self.staging.durable)?;
        Ok(Write::stored_bytes(record))
    }

    /// Replaces the record whose bytes are `loaded`.
    pub(crate) fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        loaded: &Revision,
    ) -> Result<Write> {
        let name = Name::of(key.as_str());
        let Some(root) = self.open()? else {
            return Ok(Write::Refused);
        };
        let Some(shard) = root.child(shard_name(name.shard()))? else {
            return Ok(Write::Refused);
        };
        {
            let _lock = Lock::acquire(&shard)?;
            // An unreadable record differs from the loaded one.
            let old = file::read(&shard, &name).or_else(CallError::or_absent)?;
            let Some(old) = old.filter(|old| old.record == loaded.as_bytes()) else {
                return Ok(Write::Refused);
            };
            let time = entry_time(record, old.entry);
            if time >= old.entry {
                self.change_entry(&root, &name, record, old.entry)?;
            }
            self.replace(&shard, &name, &layout::encode(key, record, time))?;
            if time < old.entry {
                // The session has ended. An entry that remains costs a list one more read, but
                // breaks no promise, so this error fails no log-out.
                let _ = self.change_entry(&root, &name, record, old.entry);
            }
        }
        shard.flush_if(self.staging.durable)?;
        Ok(Write::stored_bytes(record))
    }

    /// Removes the record, even if it is damaged.
    pub(crate) fn delete(&self, name: &Name) -> Result<()> {
        let Some(shard) = self.open_below(&[&shard_name(name.shard())])? else {
            return Ok(());
        };
        {
            // Without the lock, an update that has compared the record could store it again.
            let _lock = Lock::acquire(&shard)?;
            let found = match file::read(&shard, name) {
                Err(CallError::Damaged) => true,
                found => found.or_else(CallError::or_absent)?.is_some(),
            };
            if found {
                shard.unlink(name.to_string())?;
            }
        }
        Ok(shard.flush_if(self.staging.durable)?)
    }

    fn replace(&self, shard: &Directory, name: &Name, bytes: &[u8]) -> Result<()> {
        match Staged::write(shard, bytes, self.staging) {
            Err(full) if full.is_no_space() && bytes.len() <= ONE_BLOCK => {
                file::overwrite(shard, name, bytes, self.staging.durable)
            }
            staged => Ok(staged?.replace(&name.to_string())?),
        }
    }
}

/// Reads without the shard's lock. If the file appears damaged, reads it again with the lock: a
/// writer may have been overwriting it.
pub(crate) fn retry_damaged<T>(shard: &Directory, read: impl Fn() -> Result<T>) -> Result<T> {
    match read() {
        Err(CallError::Damaged) => {
            let _lock = Lock::acquire(shard)?;
            read()
        }
        other => other,
    }
}
