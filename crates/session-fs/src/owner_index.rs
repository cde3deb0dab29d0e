//! The owner index and the implementation of `OwnerIndex`.
//!
//! Each entry is an empty file `owners/<2 digits>/<owner>/<record>-<time>`. Its name is all its
//! data. Each change of an entry is one system call. An entry takes no block of the disk, cannot be
//! damaged, and is kept by copies and backups. The record's own file holds the time of its entry.

use std::{ffi::CStr, time::SystemTime};

use rustix::{fs, io::Errno};
use session_core::{Cursor, Listed, OwnerIndex, OwnerKey, Page, Record, async_trait};

use crate::{
    blocking::blocking,
    directory::Directory,
    error::{CallError, Result},
    file,
    layout::{self, OVERHEAD},
    lock::Lock,
    name::{Name, shard_name, unhex},
    records::retry_damaged,
    root::Root,
    store::FileStore,
    unix_time,
};

/// The directory in the store's own that holds the index.
pub(crate) const OWNERS: &str = "owners";

/// How often a change of an entry is tried. An attempt fails if a sweep removes the owner's empty
/// directory at the same time.
const ATTEMPTS: usize = 16;
/// How many entries of the same owner an insert checks, to remove the expired ones.
const CHECKED_ON_INSERT: usize = 32;
/// Bytes of a name in a [`Cursor`].
const NAME: usize = 32;

#[async_trait]
impl OwnerIndex for FileStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> session_core::Result<Page> {
        let (root, rest) = (self.root.clone(), cursor.cloned());
        let owner = Name::of(owner.as_str());
        let read = move || root.page(&owner, rest.as_ref().map(Cursor::as_bytes), limit);
        blocking(&self.root, read).await
    }
}

/// The time of the entry of `record`, in milliseconds since 1970, or `old` if the record has no
/// entry.
pub(crate) fn entry_time(record: &Record, old: u64) -> u64 {
    let entry = record.entry.as_ref();
    entry.map_or(old, |entry| unix_time::to_millis(entry.expires_at))
}

impl Root {
    /// Creates the entry of `record`, which has the file name `name`, or changes its time from
    /// `old`, under each of its owner's names. Times are in milliseconds since 1970, and 0 means
    /// that there is no entry yet.
    pub(crate) fn change_entry(
        &self,
        root: &Directory,
        name: &Name,
        record: &Record,
        old: u64,
    ) -> Result<()> {
        let Some(entry) = &record.entry else {
            return Ok(());
        };
        for owner in entry.names() {
            self.change_entry_of(root, &Name::of(owner.as_str()), name, record, old)?;
        }
        Ok(())
    }

    fn change_entry_of(
        &self,
        root: &Directory,
        owner: &Name,
        name: &Name,
        record: &Record,
        old: u64,
    ) -> Result<()> {
        let from = entry_name(name, old);
        let to = entry_name(name, entry_time(record, old));
        let durable = self.staging.durable;
        let attempt = || -> Result<()> {
            let directory = root
                .ensure(OWNERS, durable)?
                .ensure(shard_name(owner.shard()).as_str(), durable)?
                .ensure(owner.to_string().as_str(), durable)?;
            // Without the lock, a list could miss both the old name and the new one.
            let lock = Lock::acquire(&directory)?;
            if old == 0 {
                let mut names = directory.entries()?;
                for found in (0..CHECKED_ON_INSERT).map_while(|_| names.read()) {
                    remove_if_expired(&directory, found?.file_name(), SystemTime::now())?;
                }
            }
            match fs::renameat(directory.fd(), &from, directory.fd(), &to) {
                Err(Errno::NOENT) => match directory.create(&to, self.staging.mode) {
                    Err(Errno::EXIST) => {}
                    created => drop(created?),
                },
                renamed => renamed?,
            }
            drop(lock);
            Ok(directory.flush_if(durable)?)
        };
        for _ in 1..ATTEMPTS {
            match attempt() {
                Err(error) if error.is(Errno::NOENT) => {}
                other => return other,
            }
        }
        attempt()
    }

    /// Reads a page of at most `limit` records. `rest`, from a [`Cursor`], holds the names that are
    /// still to be read.
    fn page(&self, owner: &Name, rest: Option<&[u8]>, limit: usize) -> Result<Page> {
        let names = rest.map_or_else(|| self.names(owner), |rest| Ok(rest.to_vec()))?;
        let (page, rest) = names.split_at(names.len().min(limit.max(1).saturating_mul(NAME)));
        let mut records = Vec::new();
        let (page, _) = page.as_chunks::<NAME>();
        // The names are sorted, so this opens each shard once.
        for names in page.chunk_by(|one, next| one[0] == next[0]) {
            let Some(shard) = self.open_below(&[&shard_name(names[0][0])])? else {
                continue;
            };
            for name in names.iter().copied().map(Name) {
                match read_head(&shard, &name) {
                    Ok(found) => records.extend(found),
                    // No request can load it, now or later.
                    Err(CallError::ForeignFile | CallError::Damaged) => {}
                    Err(error) => return Err(error.at(&shard.path.join(name.to_string()))),
                }
            }
        }
        let next = (!rest.is_empty()).then(|| Cursor::new(rest.to_vec()));
        Ok(Page { records, next })
    }

    /// Reads the names of all records in the owner's index, sorted and concatenated.
    ///
    /// Reads all of them for the first page, so that no page misses an entry whose time changes
    /// between two pages.
    fn names(&self, owner: &Name) -> Result<Vec<u8>> {
        let path = [OWNERS, &shard_name(owner.shard()), &owner.to_string()];
        let Some(directory) = self.open_below(&path)? else {
            return Ok(Vec::new());
        };
        let (now, mut names) = (SystemTime::now(), Vec::new());
        let lock = Lock::acquire(&directory)?;
        let mut entries = directory.entries()?;
        while let Some(entry) = entries.read() {
            match parse_entry(entry?.file_name().to_bytes()) {
                Some((name, time)) if unix_time::from_millis(time) > now => names.push(name.0),
                _ => {}
            }
        }
        drop(lock);
        names.sort_unstable();
        names.dedup();
        Ok(names.into_flattened())
    }
}

/// Reads the head of the record called `name`, if there is one.
pub(crate) fn read_head(shard: &Directory, name: &Name) -> Result<Option<Listed>> {
    retry_damaged(shard, || {
        let start = file::start(shard, name.to_string(), OVERHEAD + Record::HEAD)?;
        start.map(|it| layout::decode_head(name, &it)).transpose()
    })
}

/// Removes the entry called `name` if its time is `now` or earlier.
pub(crate) fn remove_if_expired(entries: &Directory, name: &CStr, now: SystemTime) -> Result<()> {
    if parse_entry(name.to_bytes()).is_none_or(|(_, time)| unix_time::from_millis(time) > now) {
        return Ok(());
    }
    let found = file::start(entries, name, 1).or_else(CallError::or_absent)?;
    // Anything but an empty file was not made by this store.
    if found.is_some_and(|start| start.is_empty()) {
        entries.unlink(name)?;
    }
    Ok(())
}

fn entry_name(record: &Name, time: u64) -> String {
    format!("{record}-{time:016x}")
}

/// The record and the time in the name of an entry.
fn parse_entry(entry: &[u8]) -> Option<(Name, u64)> {
    let (record, time) = entry.split_at_checked(2 * NAME)?;
    let time = unhex(time.strip_prefix(b"-")?)?;
    Some((Name::parse(record)?, u64::from_be_bytes(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrys_name_holds_record_and_time() {
        let name = Name::of("session:it");
        for time in [0, 4_102_444_800_123, u64::MAX] {
            let text = entry_name(&name, time);
            assert_eq!(parse_entry(text.as_bytes()), Some((name, time)), "{text}");
            for foreign in [
                &text[1..],
                &text[..80],
                &text.to_uppercase(),
                &format!("{text}0"),
            ] {
                assert_eq!(parse_entry(foreign.as_bytes()), None, "{foreign}");
            }
        }
    }
}
