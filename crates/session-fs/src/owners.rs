//! The owner index: `owners/<2 digits>/<owner>/<record>-<time>`, an empty file for each record that has an entry.
//!
//! Its name is all there is to an entry: it is made, moved and removed in one step, takes no block of the disk, cannot be
//! damaged, and survives copies and backups. The record's own file says which time its entry was given last.

use std::{ffi::CStr, time::SystemTime};

use rustix::{fs, io::Errno};
use session_core::{Cursor, Listed, Page, Record};

use crate::{
    clock,
    directory::Directory,
    fault::{Fault, Result},
    file,
    files::settled,
    layout::{self, OVERHEAD},
    lock::Lock,
    name::{Name, shard_name, unhex},
    root::Root,
};

/// The directory in the store's own that holds the index.
pub(crate) const OWNERS: &str = "owners";

/// How often an owner's directory may be removed, for being empty, while an entry is made in it.
const ATTEMPTS: usize = 16;
/// How many names in its owner's directory an entry that is made looks at, to remove those whose time has passed.
const LOOKED_AT: usize = 32;
/// Bytes of a name in a [`Cursor`].
const NAME: usize = 32;

/// What becomes of a record's entry; times are in milliseconds since 1970, and 0 is none.
pub(crate) struct Move {
    record: Name,
    owner: Option<Name>,
    from: u64,
    pub(crate) to: u64,
}

impl Move {
    /// What `new`, which is called `record`, says of the entry whose time is `from`.
    pub(crate) fn of(record: Name, new: &Record, from: u64) -> Self {
        let entry = new.entry.as_ref();
        Self {
            record,
            owner: entry.map(|entry| Name::of(entry.owner.as_str())),
            from,
            to: entry.map_or(from, |entry| clock::millis(entry.expires_at)),
        }
    }

    pub(crate) fn ends_sooner(&self) -> bool {
        self.to < self.from
    }
}

impl Root {
    /// Makes or moves an entry.
    pub(crate) fn make(&self, root: &Directory, entry: &Move) -> Result<()> {
        let Some(owner) = entry.owner else {
            return Ok(());
        };
        for _ in 1..ATTEMPTS {
            match self.try_to_make(root, &owner, entry) {
                Err(fault) if fault.is(Errno::NOENT) => {}
                other => return other,
            }
        }
        self.try_to_make(root, &owner, entry)
    }

    fn try_to_make(&self, root: &Directory, owner: &Name, entry: &Move) -> Result<()> {
        let durable = self.staging.durable;
        let directory = root
            .ensure(OWNERS, durable)?
            .ensure(shard_name(owner.shard()).as_str(), durable)?
            .ensure(owner.to_string().as_str(), durable)?;
        {
            // A list that is read meanwhile could see neither the old name nor the new one.
            let _lock = Lock::acquire(&directory)?;
            if entry.from == 0 {
                let mut names = directory.entries()?;
                for found in (0..LOOKED_AT).map_while(|_| names.read()) {
                    drop_if_over(&directory, found?.file_name(), SystemTime::now())?;
                }
            }
            let (at, new) = (directory.fd(), entry_name(&entry.record, entry.to));
            match fs::renameat(at, entry_name(&entry.record, entry.from), at, new.as_str()) {
                Err(Errno::NOENT) => match directory.create(&new, self.staging.mode) {
                    Err(Errno::EXIST) => {}
                    made => drop(made?),
                },
                moved => moved?,
            }
        }
        Ok(directory.settle(durable)?)
    }

    /// A page of about `limit` records; `rest`, of a [`Cursor`], are the names that were not read yet.
    pub(crate) fn page(&self, owner: &Name, rest: Option<&[u8]>, limit: usize) -> Result<Page> {
        let names = rest.map_or_else(|| self.names(owner), |rest| Ok(rest.to_vec()))?;
        let (page, rest) = names.split_at(names.len().min(limit.max(1).saturating_mul(NAME)));
        let mut records = Vec::new();
        let (page, _) = page.as_chunks::<NAME>();
        // Names are in order: each shard is opened once.
        for names in page.chunk_by(|one, next| one[0] == next[0]) {
            let Some(shard) = self.below(&[&shard_name(names[0][0])])? else {
                continue;
            };
            for name in names.iter().copied().map(Name) {
                match head(&shard, &name) {
                    Ok(found) => records.extend(found),
                    // Nobody can load it, now or later.
                    Err(Fault::Foreign | Fault::Damaged) => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        let next = (!rest.is_empty()).then(|| Cursor::new(rest.to_vec()));
        Ok(Page { records, next })
    }

    /// The names that the owner's index has now, one after the other.
    ///
    /// All at once, so that no page misses one that is moved between two pages.
    fn names(&self, owner: &Name) -> Result<Vec<u8>> {
        let path = [OWNERS, &shard_name(owner.shard()), &owner.to_string()];
        let Some(directory) = self.below(&path)? else {
            return Ok(Vec::new());
        };
        let (now, mut names) = (SystemTime::now(), Vec::new());
        let lock = Lock::acquire(&directory)?;
        let mut entries = directory.entries()?;
        while let Some(entry) = entries.read() {
            match parse(entry?.file_name().to_bytes()) {
                Some((name, until)) if clock::instant(until) > now => names.push(name.0),
                _ => {}
            }
        }
        drop(lock);
        names.sort_unstable();
        names.dedup();
        Ok(names.into_flattened())
    }
}

/// The head of the record called `name`, if there is one.
fn head(shard: &Directory, name: &Name) -> Result<Option<Listed>> {
    settled(shard, || {
        let start = file::start(shard, name.to_string(), OVERHEAD + Record::HEAD)?;
        start.map(|start| layout::head(name, &start)).transpose()
    })
}

/// Removes the entry called `name` if its time has passed.
pub(crate) fn drop_if_over(directory: &Directory, name: &CStr, instant: SystemTime) -> Result<()> {
    if parse(name.to_bytes()).is_none_or(|(_, until)| clock::instant(until) > instant) {
        return Ok(());
    }
    let found = file::start(directory, name, 1).or_else(Fault::unless_unreadable)?;
    // Whatever else has such a name is a stranger's.
    if found.is_some_and(|start| start.is_empty()) {
        directory.unlink(name)?;
    }
    Ok(())
}

fn entry_name(record: &Name, until: u64) -> String {
    format!("{record}-{until:016x}")
}

/// The record and the time that an entry's name says.
fn parse(entry: &[u8]) -> Option<(Name, u64)> {
    let (record, until) = entry.split_at_checked(2 * NAME)?;
    let until = unhex(until.strip_prefix(b"-")?)?;
    Some((Name::parse(record)?, u64::from_be_bytes(until)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrys_name_says_record_and_time() {
        let name = Name::of("session:it");
        for until in [0, 4_102_444_800_123, u64::MAX] {
            let text = entry_name(&name, until);
            assert_eq!(parse(text.as_bytes()), Some((name, until)), "{text}");
            for foreign in [
                &text[1..],
                &text[..80],
                &text.to_uppercase(),
                &format!("{text}0"),
            ] {
                assert_eq!(parse(foreign.as_bytes()), None, "{foreign}");
            }
        }
    }
}
