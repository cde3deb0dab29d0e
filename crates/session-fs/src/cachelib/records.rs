use rustix::io::Errno;
use session_core::{Revision, StoreKey, Write};

use super::{CachelibStore, layout::Entry};
use crate::{
    directory::Directory, fault::Fault, file, layout::LARGEST, lock::Lock, staged::Staged,
};

/// Python spells a record with six times as many bytes at the most.
const LARGEST_FILE: usize = 6 * LARGEST + 4;

/// The records as cachelib's files; every method blocks.
impl CachelibStore {
    pub(super) fn get(&self, key: &StoreKey) -> Result<Option<(String, Entry)>, Fault> {
        let root = self.root.open()?;
        root.map_or(Ok(None), |root| self.find(&root, key))
    }

    pub(super) fn add(&self, key: &StoreKey, new: &Entry) -> Result<Write, Fault> {
        let root = self.root.open_or_set_up()?;
        let staged = Staged::write(&root, &new.encode(), self.root.staging)?;
        let _lock = Lock::acquire(&root)?;
        let [name, other] = self.names.of(key);
        if file::start(&root, other, 0)?.is_some() {
            return Ok(Write::Refused);
        }
        match staged.link(&name) {
            Err(Errno::EXIST) => Ok(Write::Refused),
            linked => Ok(linked.map(|()| new.stored())?),
        }
    }

    /// Replaces the payload `loaded`.
    pub(super) fn swap(
        &self,
        key: &StoreKey,
        new: &Entry,
        loaded: &Revision,
    ) -> Result<Write, Fault> {
        let Some(root) = self.root.open()? else {
            return Ok(Write::Refused);
        };
        let _lock = Lock::acquire(&root)?;
        // What cannot be read is another one.
        let found = self.find(&root, key).or_else(Fault::unless_unreadable)?;
        let Some((name, _)) = found.filter(|(_, old)| old.payload == loaded.as_bytes()) else {
            return Ok(Write::Refused);
        };
        Staged::write(&root, &new.encode(), self.root.staging)?.replace(&name)?;
        Ok(new.stored())
    }

    pub(super) fn remove(&self, key: &StoreKey) -> Result<(), Fault> {
        let Some(root) = self.root.open()? else {
            return Ok(());
        };
        let _lock = Lock::acquire(&root)?;
        for name in self.names.of(key) {
            let found = file::start(&root, name.as_str(), 0).or_else(Fault::unless_unreadable)?;
            if found.is_some() {
                root.unlink(name)?;
            }
        }
        Ok(())
    }

    /// The entry of `key` and the name of its file.
    fn find(&self, root: &Directory, key: &StoreKey) -> Result<Option<(String, Entry)>, Fault> {
        for name in self.names.of(key) {
            if let Some(file) = file::start(root, name.as_str(), LARGEST_FILE)? {
                return Ok(Some((name, Entry::decode(&file)?)));
            }
        }
        Ok(None)
    }
}
