//! The operations on cachelib's files: load, insert, update, delete. Each of them blocks.

use rustix::io::Errno;
use session_core::{Revision, StoreKey, Write};

use super::{layout::CacheFile, store::CachelibStore};
use crate::{
    directory::Directory, error::CallError, file, layout::LARGEST, lock::Lock, staged::Staged,
};

/// The most bytes that a file can have. Python writes at most six bytes for each byte of a record.
const LARGEST_FILE: usize = 6 * LARGEST + 4;

/// The name and the content of a key's file, if there is one.
type Found = Option<(String, CacheFile)>;

impl CachelibStore {
    pub(super) fn load_file(&self, key: &StoreKey) -> Result<Found, CallError> {
        let root = self.root.open()?;
        root.map_or(Ok(None), |root| self.find(&root, key))
    }

    pub(super) fn insert_file(&self, key: &StoreKey, new: &CacheFile) -> Result<Write, CallError> {
        let root = self.root.open_or_set_up()?;
        let staged = Staged::write(&root, &new.encode(), self.root.staging)?;
        let _lock = Lock::acquire(&root)?;
        let [name, other] = self.naming.names_of(key);
        if file::start(&root, other, 0)?.is_some() {
            return Ok(Write::Refused);
        }
        match staged.link(&name) {
            Err(Errno::EXIST) => Ok(Write::Refused),
            linked => Ok(linked.map(|()| new.stored())?),
        }
    }

    /// Replaces the file whose payload is `loaded`.
    pub(super) fn update_file(
        &self,
        key: &StoreKey,
        new: &CacheFile,
        loaded: &Revision,
    ) -> Result<Write, CallError> {
        let Some(root) = self.root.open()? else {
            return Ok(Write::Refused);
        };
        let _lock = Lock::acquire(&root)?;
        // An unreadable file differs from the loaded one.
        let found = self.find(&root, key).or_else(CallError::or_absent)?;
        let Some((name, _)) = found.filter(|(_, old)| old.payload == loaded.as_bytes()) else {
            return Ok(Write::Refused);
        };
        match Staged::write(&root, &new.encode(), self.root.staging) {
            // On a full disk, the end of a session gives its space back.
            Err(full) if full.is_no_space() && new.has_ended() => drop(root.unlink(name)?),
            staged => staged?.replace(&name)?,
        }
        Ok(new.stored())
    }

    pub(super) fn delete_files(&self, key: &StoreKey) -> Result<(), CallError> {
        let Some(root) = self.root.open()? else {
            return Ok(());
        };
        let _lock = Lock::acquire(&root)?;
        for name in self.naming.names_of(key) {
            let found = file::start(&root, name.as_str(), 0);
            if found.or_else(CallError::or_absent)?.is_some() {
                root.unlink(name)?;
            }
        }
        Ok(())
    }

    fn find(&self, root: &Directory, key: &StoreKey) -> Result<Found, CallError> {
        for name in self.naming.names_of(key) {
            let read = || -> Result<Option<CacheFile>, CallError> {
                let file = file::start(root, name.as_str(), LARGEST_FILE)?;
                file.map(|it| CacheFile::decode(&it)).transpose()
            };
            if let Some(file) = read().map_err(|error| error.at(&root.path.join(&name)))? {
                return Ok(Some((name, file)));
            }
        }
        Ok(None)
    }
}
