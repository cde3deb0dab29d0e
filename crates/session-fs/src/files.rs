use std::{path::Path, sync::Arc, time::Instant};

use rustix::io::Errno;

use crate::{
    clock,
    directory::Directory,
    fault::Fault,
    file::{self, Slot},
    layout::{Kind, Stored},
    lock::{Lock, PATIENCE},
    name::{Name, shard_name},
    staged::{Staged, Staging},
    unreadable::Unreadable,
};

/// Bytes up to which a record is written over the old one when the disk is full: one page, one block.
const ONE_BLOCK: usize = 4096;

/// The records as files; every method blocks.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) root: Arc<Path>,
    pub(crate) staging: Staging,
}

/// Whether a conditional write was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused,
}

impl Files {
    /// The record that is live now.
    pub(crate) fn load(&self, name: &Name) -> Result<Option<Stored>, Fault> {
        let Some(shard) = self.shard(name)? else {
            return Ok(None);
        };
        match read_settled(&shard, name, Instant::now() + PATIENCE)? {
            Slot::Empty => Ok(None),
            Slot::Holds(stored) => Ok(Some(stored).filter(|stored| stored.is_live(clock::now()))),
            Slot::Unreadable(reason) => Err(Fault::Unreadable(reason)),
        }
    }

    /// Puts a record where no live one is.
    pub(crate) fn insert(
        &self,
        name: &Name,
        new: &Stored,
        deadline: Instant,
    ) -> Result<Outcome, Fault> {
        let shard = self.shard_or_create(name)?;
        let staged = self.stage(&shard, name, new)?;
        {
            let _lock = Lock::acquire(&shard, deadline)?;
            match file::read(&shard, Kind::Record, name)? {
                Slot::Empty => staged.link(&name.to_string())?,
                Slot::Holds(old) if old.is_live(clock::now()) => return Ok(Outcome::Refused),
                Slot::Holds(_) | Slot::Unreadable(Unreadable::Damaged) => {
                    staged.replace(&name.to_string())?;
                }
                Slot::Unreadable(reason) => return Err(Fault::Unreadable(reason)),
            }
        }
        self.settle(&shard)?;
        Ok(Outcome::Done)
    }

    /// Puts a record in the place of the live one that has `revision`; says what was there.
    pub(crate) fn update(
        &self,
        name: &Name,
        new: &Stored,
        revision: u64,
        deadline: Instant,
    ) -> Result<Option<Stored>, Fault> {
        let Some(shard) = self.shard(name)? else {
            return Ok(None);
        };
        // Spares the writing of a file that would only be removed again.
        if live_at(&shard, name, revision)?.is_none() {
            return Ok(None);
        }
        let staged = match self.stage(&shard, name, new) {
            Err(Fault::Io(error)) if is_full(&error) => Err(error),
            other => Ok(other?),
        };
        let old = {
            let _lock = Lock::acquire(&shard, deadline)?;
            let Some(old) = live_at(&shard, name, revision)? else {
                return Ok(None);
            };
            match staged {
                Ok(staged) => staged.replace(&name.to_string())?,
                Err(full) => {
                    let bytes = new.encode(Kind::Record, name);
                    if bytes.len() > ONE_BLOCK {
                        return Err(full.into());
                    }
                    file::overwrite(&shard, name, &bytes, self.staging.durable)?;
                }
            }
            old
        };
        self.settle(&shard)?;
        Ok(Some(old))
    }

    /// Moves the expiry of the live record.
    pub(crate) fn touch(
        &self,
        name: &Name,
        expires: u64,
        deadline: Instant,
    ) -> Result<Outcome, Fault> {
        let Some(shard) = self.shard(name)? else {
            return Ok(Outcome::Refused);
        };
        loop {
            let old = match read_settled(&shard, name, deadline)? {
                Slot::Holds(stored) if stored.is_live(clock::now()) => stored,
                _ => return Ok(Outcome::Refused),
            };
            let revision = old.revision;
            let staged = self.stage(&shard, name, &Stored { expires, ..old })?;
            let lock = Lock::acquire(&shard, deadline)?;
            if live_at(&shard, name, revision)?.is_some() {
                staged.replace(&name.to_string())?;
                drop(lock);
                self.settle(&shard)?;
                return Ok(Outcome::Done);
            }
            if Instant::now() >= deadline {
                return Err(Fault::Locked(PATIENCE));
            }
        }
    }

    /// Removes the record, whether it is live, expired or damaged.
    pub(crate) fn delete(&self, name: &Name, deadline: Instant) -> Result<(), Fault> {
        let Some(shard) = self.shard(name)? else {
            return Ok(());
        };
        {
            // Between an update's look at the record and its rename, a removal would be undone.
            let _lock = Lock::acquire(&shard, deadline)?;
            match file::read(&shard, Kind::Record, name)? {
                Slot::Holds(_) | Slot::Unreadable(Unreadable::Damaged) => {
                    shard.unlink(name.to_string())?;
                }
                Slot::Empty | Slot::Unreadable(_) => return Ok(()),
            }
        }
        self.settle(&shard)
    }

    /// The directory that holds everything, if there is one.
    pub(crate) fn root(&self) -> Result<Option<Directory>, Fault> {
        Directory::open(&self.root)
    }

    /// The directory of `name`'s shard, if there is one.
    pub(crate) fn shard(&self, name: &Name) -> Result<Option<Directory>, Fault> {
        match self.root()? {
            Some(root) => root.child(&shard_name(name.shard())),
            None => Ok(None),
        }
    }

    /// Makes what was done in `directory` outlast a power loss, if that was asked for.
    pub(crate) fn settle(&self, directory: &Directory) -> Result<(), Fault> {
        if self.staging.durable {
            directory.sync()?;
        }
        Ok(())
    }

    fn shard_or_create(&self, name: &Name) -> Result<Directory, Fault> {
        Directory::open_or_create(&self.root, self.staging.durable)?
            .child_or_create(&shard_name(name.shard()), self.staging.durable)
    }

    fn stage<'a>(
        &self,
        shard: &'a Directory,
        name: &Name,
        new: &Stored,
    ) -> Result<Staged<'a>, Fault> {
        let bytes = new.encode(Kind::Record, name);
        Staged::write(shard, &bytes, self.staging)
    }
}

/// The live record under `name`, if it has `revision`; what cannot be read counts as none.
fn live_at(shard: &Directory, name: &Name, revision: u64) -> Result<Option<Stored>, Fault> {
    Ok(match file::read(shard, Kind::Record, name)? {
        Slot::Holds(stored) if stored.revision == revision && stored.is_live(clock::now()) => {
            Some(stored)
        }
        _ => None,
    })
}

/// Reads without the lock, and with it what seems damaged: it may be in the middle of being written over.
fn read_settled(shard: &Directory, name: &Name, deadline: Instant) -> Result<Slot, Fault> {
    match file::read(shard, Kind::Record, name)? {
        Slot::Unreadable(Unreadable::Damaged) => {
            let _lock = Lock::acquire(shard, deadline)?;
            file::read(shard, Kind::Record, name)
        }
        slot => Ok(slot),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT]
        .iter()
        .any(|full| error.raw_os_error() == Some(full.raw_os_error()))
}
