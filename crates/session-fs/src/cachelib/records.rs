use std::{path::Path, sync::Arc, time::Instant};

use session_core::StoreKey;

use super::layout::{Entry, Names};
use crate::{
    clock,
    directory::Directory,
    fault::Fault,
    file,
    files::Outcome,
    lock::Lock,
    staged::{Staged, Staging},
    unreadable::Unreadable,
};

/// The records as cachelib's files; every method blocks.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) root: Arc<Path>,
    pub(super) staging: Staging,
    pub(super) names: Names,
}

impl Records {
    pub(super) fn load(&self, key: &StoreKey) -> Result<Option<Entry>, Fault> {
        let Some(root) = Directory::open(&self.root)? else {
            return Ok(None);
        };
        Ok(self.live(&root, key)?.map(|(_, entry)| entry))
    }

    pub(super) fn insert(
        &self,
        key: &StoreKey,
        new: &Entry,
        deadline: Instant,
    ) -> Result<Outcome, Fault> {
        let root = Directory::open_or_create(&self.root, self.staging.durable)?;
        let staged = Staged::write(&root, &new.encode(), self.staging)?;
        let _lock = Lock::acquire(&root, deadline)?;
        match self.live(&root, key) {
            Ok(Some(_)) => return Ok(Outcome::Refused),
            Ok(None) | Err(Fault::Unreadable(Unreadable::Damaged)) => {}
            Err(fault) => return Err(fault),
        }
        let [name, _] = self.names.of(key);
        staged.replace(&name)?;
        Ok(Outcome::Done)
    }

    /// Replaces the live entry by what `change` makes of it, unless that is nothing.
    pub(super) fn change(
        &self,
        key: &StoreKey,
        change: impl FnOnce(Entry) -> Option<Entry>,
        deadline: Instant,
    ) -> Result<Outcome, Fault> {
        let Some(root) = Directory::open(&self.root)? else {
            return Ok(Outcome::Refused);
        };
        let _lock = Lock::acquire(&root, deadline)?;
        let found = match self.live(&root, key) {
            // There is no entry that the change could be meant for.
            Err(Fault::Unreadable(_)) => None,
            other => other?,
        };
        let Some((name, new)) = found.and_then(|(name, old)| Some((name, change(old)?))) else {
            return Ok(Outcome::Refused);
        };
        Staged::write(&root, &new.encode(), self.staging)?.replace(&name)?;
        Ok(Outcome::Done)
    }

    pub(super) fn delete(&self, key: &StoreKey, deadline: Instant) -> Result<(), Fault> {
        let Some(root) = Directory::open(&self.root)? else {
            return Ok(());
        };
        let _lock = Lock::acquire(&root, deadline)?;
        for name in self.names.of(key) {
            if let Some(Ok(_)) = file::bytes(&root, name.as_str())? {
                root.unlink(name)?;
            }
        }
        Ok(())
    }

    /// The live entry of `key` and the name of its file.
    fn live(&self, root: &Directory, key: &StoreKey) -> Result<Option<(String, Entry)>, Fault> {
        for name in self.names.of(key) {
            let Some(bytes) = file::bytes(root, name.as_str())? else {
                continue;
            };
            let entry = bytes.and_then(Entry::decode).map_err(Fault::Unreadable)?;
            if entry.is_live(clock::now()) {
                return Ok(Some((name, entry)));
            }
        }
        Ok(None)
    }
}
