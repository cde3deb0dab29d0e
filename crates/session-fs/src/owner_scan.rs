use rustix::fs::{Dir, Mode};

use crate::{
    directory::Directory,
    fault::Fault,
    files::Files,
    name::Name,
    scan::{STEP, remove_if_orphaned},
    staged::{is_staged_name, is_staged_start},
};

/// A walk through the owners of one shard that goes on where it stopped.
#[derive(Debug)]
pub(crate) struct OwnerScan {
    files: Files,
    shard: Directory,
    owners: Dir,
    current: Option<Owner>,
}

#[derive(Debug)]
struct Owner {
    name: Name,
    directory: Directory,
    entries: Dir,
    kept: bool,
}

impl OwnerScan {
    pub(crate) fn new(files: Files, shard: Directory) -> Result<Self, Fault> {
        let owners = shard.entries()?;
        Ok(Self {
            files,
            shard,
            owners,
            current: None,
        })
    }

    /// Looks at [`STEP`] more entries; gives itself back unless it is done.
    pub(crate) fn step(mut self) -> Result<Option<Self>, Fault> {
        for _ in 0..STEP {
            let more = match self.current.take() {
                Some(owner) => self.next_entry(owner)?,
                None => self.next_owner()?,
            };
            if !more {
                return Ok(None);
            }
        }
        Ok(Some(self))
    }

    fn next_owner(&mut self) -> Result<bool, Fault> {
        let Some(entry) = self.owners.read() else {
            return Ok(false);
        };
        if let Some(name) = Name::parse(entry?.file_name().to_bytes())
            && let Ok(Some(directory)) = self.shard.child(&name.to_string())
        {
            let entries = directory.entries()?;
            self.current = Some(Owner {
                name,
                directory,
                entries,
                kept: false,
            });
        }
        Ok(true)
    }

    fn next_entry(&mut self, mut owner: Owner) -> Result<bool, Fault> {
        let Some(entry) = owner.entries.read() else {
            // The mode is all there is to tell an empty directory of ours by.
            if !owner.kept && owner.directory.mode()? == Mode::RWXU {
                self.shard.remove_empty(owner.name.to_string())?;
            }
            return Ok(true);
        };
        let entry = entry?;
        let text = entry.file_name().to_bytes();
        if let Some(name) = Name::parse(text) {
            owner.kept |= !self.files.drop_entry_if_over(&owner.directory, &name)?;
        } else if is_staged_name(text, "") {
            remove_if_orphaned(&owner.directory, entry.file_name(), is_staged_start)?;
        }
        self.current = Some(owner);
        Ok(true)
    }
}
