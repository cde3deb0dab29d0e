use std::time::Instant;

use rustix::io::Errno;
use session_core::{Revision, StoreKey, Write};

use super::layout::{Entry, Names};
use crate::{
    directory::Directory, fault::Fault, file, layout::LARGEST, lock::Lock, root::Root,
    staged::Staged,
};

/// Python spells a record with six times as many bytes at the most.
const LARGEST_FILE: usize = 6 * LARGEST + 4;

/// The records as cachelib's files; every method blocks.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) root: Root,
    pub(super) names: Names,
}

impl Records {
    pub(super) fn load(&self, key: &StoreKey) -> Result<Option<Entry>, Fault> {
        let Some(root) = self.root.open()? else {
            return Ok(None);
        };
        Ok(self.find(&root, key)?.map(|(_, entry)| entry))
    }

    pub(super) fn insert(
        &self,
        key: &StoreKey,
        new: &Entry,
        deadline: Instant,
    ) -> Result<Write, Fault> {
        let root = self.root.open_or_set_up()?;
        let staged = Staged::write(&root, &new.encode(), self.root.staging)?;
        let _lock = Lock::acquire(&root, deadline)?;
        let [name, other] = self.names.of(key);
        if root.has(&other)? {
            return Ok(Write::Refused);
        }
        match staged.link(&name) {
            Err(Errno::EXIST) => Ok(Write::Refused),
            linked => Ok(linked.map(|()| new.stored())?),
        }
    }

    /// Replaces the payload `loaded`.
    pub(super) fn update(
        &self,
        key: &StoreKey,
        new: &Entry,
        loaded: &Revision,
        deadline: Instant,
    ) -> Result<Write, Fault> {
        let Some(root) = self.root.open()? else {
            return Ok(Write::Refused);
        };
        let _lock = Lock::acquire(&root, deadline)?;
        // What cannot be read is another one.
        let found = self.find(&root, key).or_else(Fault::unless_unreadable)?;
        let Some((name, _)) = found.filter(|(_, old)| old.payload == loaded.as_bytes()) else {
            return Ok(Write::Refused);
        };
        Staged::write(&root, &new.encode(), self.root.staging)?.replace(&name)?;
        Ok(new.stored())
    }

    pub(super) fn delete(&self, key: &StoreKey, deadline: Instant) -> Result<(), Fault> {
        let Some(root) = self.root.open()? else {
            return Ok(());
        };
        let _lock = Lock::acquire(&root, deadline)?;
        for name in self.names.of(key) {
            match file::start(&root, name.as_str(), 0) {
                Ok(Some(_)) => {
                    root.unlink(name)?;
                }
                Ok(None) | Err(Fault::Foreign) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// The entry of `key` and the name of its file.
    fn find(&self, root: &Directory, key: &StoreKey) -> Result<Option<(String, Entry)>, Fault> {
        for name in self.names.of(key) {
            if let Some((_, file)) = file::start(root, name.as_str(), LARGEST_FILE)? {
                return Ok(Some((name, Entry::decode(&file)?)));
            }
        }
        Ok(None)
    }
}
