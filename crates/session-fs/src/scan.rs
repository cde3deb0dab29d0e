use std::{ffi::CStr, time::Instant};

use rustix::{
    fs::{Dir, FlockOperation, Mode, flock, fstat},
    io::Errno,
};

use crate::{
    clock,
    directory::Directory,
    fault::Fault,
    file,
    layout::{self, Kind},
    lock::{Lock, PATIENCE},
    name::Name,
    staged::{is_staged_name, is_staged_start},
    unreadable::Unreadable,
};

/// Directory entries looked at in one go, before requests get their turn on the disk again.
pub(crate) const STEP: usize = 1000;

/// A walk through one directory that goes on where it stopped.
#[derive(Debug)]
pub(crate) struct Scan {
    directory: Directory,
    entries: Dir,
    shard: Option<u8>,
}

/// What a walk has found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) removed: u64,
    pub(crate) live: u64,
}

impl Scan {
    /// Begins a walk; in the directory of a `shard` it sees to the records too, elsewhere to staged files only.
    pub(crate) fn new(directory: Directory, shard: Option<u8>) -> Result<Self, Fault> {
        let entries = directory.entries()?;
        Ok(Self {
            directory,
            entries,
            shard,
        })
    }

    /// Looks at [`STEP`] more entries and removes no more than `limit` records; gives itself back unless it is done.
    pub(crate) fn step(mut self, limit: u64) -> Result<(Option<Self>, Tally), Fault> {
        let mut tally = Tally::default();
        for _ in 0..STEP {
            if tally.removed == limit {
                break;
            }
            let Some(entry) = self.entries.read() else {
                return Ok((None, tally));
            };
            let entry = entry?;
            let text = entry.file_name().to_bytes();
            if let Some(name) = Name::parse(text).filter(|name| Some(name.shard()) == self.shard) {
                match self.look_at(&name)? {
                    Look::Over => tally.removed += u64::from(self.remove(&name)?),
                    Look::Live => tally.live += 1,
                    Look::NotOurs => {}
                }
            } else if is_staged_name(text, "") {
                remove_if_orphaned(&self.directory, entry.file_name(), is_staged_start)?;
            }
        }
        Ok((Some(self), tally))
    }

    fn look_at(&self, name: &Name) -> Result<Look, Fault> {
        let Some(start) = file::start(&self.directory, name.to_string())? else {
            return Ok(Look::NotOurs);
        };
        Ok(match layout::expiry(Kind::Record, start.bytes()) {
            Ok(expires) if clock::now() < expires => Look::Live,
            Ok(_) | Err(Unreadable::Damaged) => Look::Over,
            Err(Unreadable::Foreign | Unreadable::Later) => Look::NotOurs,
        })
    }

    /// Removes the record if it is still over when nobody can touch or replace it.
    fn remove(&self, name: &Name) -> Result<bool, Fault> {
        let _lock = Lock::acquire(&self.directory, Instant::now() + PATIENCE)?;
        match self.look_at(name)? {
            Look::Over => Ok(self.directory.unlink(name.to_string())?),
            Look::Live | Look::NotOurs => Ok(false),
        }
    }
}

enum Look {
    Live,
    Over,
    NotOurs,
}

/// Removes a staged file whose writer is no more.
pub(crate) fn remove_if_orphaned(
    directory: &Directory,
    name: &CStr,
    is_ours: fn(&[u8]) -> bool,
) -> Result<(), Fault> {
    let Some(start) = file::start(directory, name)? else {
        return Ok(());
    };
    // Killed before it could write, its writer left but the name and the mode to know it by.
    let mode = Mode::from_raw_mode(fstat(&start.file)?.st_mode);
    let private = !mode.intersects(Mode::RWXG | Mode::RWXO);
    if !private || !is_ours(start.bytes()) {
        return Ok(());
    }
    match flock(&start.file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(()),
        locked => {
            locked?;
            directory.unlink(name)?;
            Ok(())
        }
    }
}
