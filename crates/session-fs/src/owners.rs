//! The owner index: `owners/<2 digits>/<owner>/<record>`, one small file for each record that was given an owner.
//!
//! An entry holds the record's store key, because the name of a record's file does not tell it, and the record's
//! first expiry. It goes only when that has passed and the record is absent.

use std::time::Instant;

use rustix::io::Errno;
use session_core::StoreKey;

use crate::{
    clock,
    directory::Directory,
    fault::Fault,
    file::{self, Slot},
    files::{Files, Outcome},
    layout::{Kind, Stored},
    lock::{Lock, PATIENCE},
    name::{Name, shard_name},
    staged::Staged,
    unreadable::Unreadable,
};

/// The directory in the store's own that holds the index.
pub(crate) const OWNERS: &str = "owners";

/// How often an owner's directory may be removed, for being empty, while an entry is written to it.
const ATTEMPTS: usize = 16;

impl Files {
    /// [`insert`](Self::insert), and the owner's entry before the answer.
    pub(crate) fn insert_owned(
        &self,
        name: &Name,
        new: &Stored,
        key: &StoreKey,
        deadline: Instant,
    ) -> Result<Outcome, Fault> {
        let outcome = self.insert(name, new, deadline)?;
        let Some(owner) = new.owner.filter(|_| outcome == Outcome::Done) else {
            return Ok(outcome);
        };
        self.note_owner(&owner, name, key, new).inspect_err(|_| {
            // The id was never sent; without the entry, its owner could not end it. What fails here expires.
            let _ = self.delete(name, deadline);
        })?;
        Ok(outcome)
    }

    /// [`update`](Self::update), and the entry of an owner that the record did not have before.
    pub(crate) fn update_owned(
        &self,
        name: &Name,
        new: &Stored,
        key: &StoreKey,
        revision: u64,
        deadline: Instant,
    ) -> Result<Outcome, Fault> {
        let Some(old) = self.update(name, new, revision, deadline)? else {
            return Ok(Outcome::Refused);
        };
        if let Some(owner) = new.owner.filter(|owner| old.owner.as_ref() != Some(owner)) {
            self.note_owner(&owner, name, key, new)?;
        }
        Ok(Outcome::Done)
    }

    /// Notes that the record called `name`, with the store key `key`, belongs to `owner`.
    fn note_owner(
        &self,
        owner: &Name,
        name: &Name,
        key: &StoreKey,
        record: &Stored,
    ) -> Result<(), Fault> {
        let entry = Stored {
            payload: key.as_str().as_bytes().to_vec(),
            ..*record
        };
        let bytes = entry.encode(Kind::OwnerEntry, name);
        let mut attempt = 0;
        loop {
            match self.write_entry(owner, name, &bytes) {
                Err(Fault::Io(error))
                    if error.raw_os_error() == Some(Errno::NOENT.raw_os_error())
                        && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    /// The owner's live records with their store keys; entries that have had their time go.
    pub(crate) fn owned_by(&self, owner: &Name) -> Result<Vec<(StoreKey, Stored)>, Fault> {
        let mut found = Vec::new();
        let Some(directory) = self.owner_directory(owner)? else {
            return Ok(found);
        };
        let mut entries = directory.entries()?;
        while let Some(entry) = entries.read() {
            let Some(name) = Name::parse(entry?.file_name().to_bytes()) else {
                continue;
            };
            let record = match self.load(&name) {
                Ok(Some(record)) => record,
                Ok(None) => {
                    self.drop_entry_if_over(&directory, &name)?;
                    continue;
                }
                // To every load it is absent.
                Err(Fault::Unreadable(_)) => continue,
                Err(fault) => return Err(fault),
            };
            if record.owner.as_ref() != Some(owner) {
                continue;
            }
            match file::read(&directory, Kind::OwnerEntry, &name)? {
                Slot::Holds(entry) => found.push((store_key(entry)?, record)),
                Slot::Empty => {}
                // To leave out a record that is live would let it survive its owner's logout.
                Slot::Unreadable(reason) => return Err(Fault::Unreadable(reason)),
            }
        }
        Ok(found)
    }

    /// Removes the entry of the record called `name` if its time has passed and the record is absent.
    pub(crate) fn drop_entry_if_over(
        &self,
        directory: &Directory,
        name: &Name,
    ) -> Result<bool, Fault> {
        let over = match file::read(directory, Kind::OwnerEntry, name)? {
            Slot::Holds(entry) => !entry.is_live(clock::now()),
            // It cannot tell its time any more; what counts is the record.
            Slot::Unreadable(Unreadable::Damaged) => true,
            Slot::Empty | Slot::Unreadable(_) => false,
        };
        if !over {
            return Ok(false);
        }
        // With the record's lock, so that no insert is between the look and the removal.
        let shard = self.shard(name)?;
        let _lock = match &shard {
            Some(shard) => Some(Lock::acquire(shard, Instant::now() + PATIENCE)?),
            None => None,
        };
        let absent = match &shard {
            Some(shard) => match file::read(shard, Kind::Record, name)? {
                Slot::Empty => true,
                Slot::Holds(record) => !record.is_live(clock::now()),
                Slot::Unreadable(_) => false,
            },
            None => true,
        };
        Ok(absent && directory.unlink(name.to_string())?)
    }

    fn write_entry(&self, owner: &Name, name: &Name, bytes: &[u8]) -> Result<(), Fault> {
        let directory = Directory::open_or_create(&self.root, self.staging.durable)?
            .child_or_create(OWNERS, self.staging.durable)?
            .child_or_create(&shard_name(owner.shard()), self.staging.durable)?
            .child_or_create(&owner.to_string(), self.staging.durable)?;
        let staged = Staged::write(&directory, bytes, self.staging)?;
        staged.replace(&name.to_string())?;
        self.settle(&directory)
    }

    fn owner_directory(&self, owner: &Name) -> Result<Option<Directory>, Fault> {
        let Some(shard) = self.owner_shard(owner.shard())? else {
            return Ok(None);
        };
        shard.child(&owner.to_string())
    }

    /// The directory of the owners whose digest begins with `shard`, if there is one.
    pub(crate) fn owner_shard(&self, shard: u8) -> Result<Option<Directory>, Fault> {
        let Some(root) = self.root()? else {
            return Ok(None);
        };
        match root.child(OWNERS)? {
            Some(owners) => owners.child(&shard_name(shard)),
            None => Ok(None),
        }
    }
}

fn store_key(entry: Stored) -> Result<StoreKey, Fault> {
    String::from_utf8(entry.payload)
        .map(StoreKey::from_stored)
        .map_err(|_| Fault::Unreadable(Unreadable::Damaged))
}
