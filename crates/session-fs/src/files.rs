use rustix::io::Errno;
use session_core::{Record, Revision, StoreKey, Write};

use crate::{
    directory::Directory,
    fault::{Fault, Result},
    file,
    layout::{self, Stored},
    lock::Lock,
    name::{Name, shard_name},
    owners::Move,
    root::Root,
    staged::Staged,
};

/// Bytes up to which a file is written over the old one when the disk is full: one page, one block.
const ONE_BLOCK: usize = 4096;

/// The records as files; every method blocks.
impl Root {
    pub(crate) fn load(&self, name: &Name) -> Result<Option<Stored>> {
        let Some(shard) = self.below(&[&shard_name(name.shard())])? else {
            return Ok(None);
        };
        settled(&shard, || file::read(&shard, name))
    }

    /// Puts a record where nothing is.
    pub(crate) fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let name = Name::of(key.as_str());
        let entry = Move::of(name, record, 0);
        let root = self.open_or_set_up()?;
        let shard = root.ensure(shard_name(name.shard()).as_str(), self.staging.durable)?;
        let staged = Staged::write(&shard, &layout::encode(key, record, entry.to), self.staging)?;
        self.make(&root, &entry)?;
        match staged.link(&name.to_string()) {
            Err(Errno::EXIST) => return Ok(Write::Refused),
            other => other?,
        }
        shard.settle(self.staging.durable)?;
        Ok(Write::stored_bytes(record))
    }

    /// Puts a record in the place of the one whose bytes are `loaded`.
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
            // What cannot be read is another one.
            let old = file::read(&shard, &name).or_else(Fault::unless_unreadable)?;
            let Some(old) = old.filter(|old| old.record == loaded.as_bytes()) else {
                return Ok(Write::Refused);
            };
            let entry = Move::of(name, record, old.entry);
            if !entry.ends_sooner() {
                self.make(&root, &entry)?;
            }
            self.replace(&shard, &name, &layout::encode(key, record, entry.to))?;
            if entry.ends_sooner() {
                // The session is ended. An entry that stays longer than it must costs a look, and no promise.
                let _ = self.make(&root, &entry);
            }
        }
        shard.settle(self.staging.durable)?;
        Ok(Write::stored_bytes(record))
    }

    /// Removes the record, even if it is damaged.
    pub(crate) fn delete(&self, name: &Name) -> Result<()> {
        let Some(shard) = self.below(&[&shard_name(name.shard())])? else {
            return Ok(());
        };
        {
            // Between an update's look at the record and its rename, a removal would be undone.
            let _lock = Lock::acquire(&shard)?;
            let found = match file::read(&shard, name) {
                Err(Fault::Damaged) => true,
                found => found.or_else(Fault::unless_unreadable)?.is_some(),
            };
            if found {
                shard.unlink(name.to_string())?;
            }
        }
        Ok(shard.settle(self.staging.durable)?)
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

/// Reads without the shard's lock, and with it what seems damaged: it may be in the middle of being written over.
pub(crate) fn settled<T>(shard: &Directory, read: impl Fn() -> Result<T>) -> Result<T> {
    match read() {
        Err(Fault::Damaged) => {
            let _lock = Lock::acquire(shard)?;
            read()
        }
        other => other,
    }
}
