//! The records of a `MemoryStore`, with their index of owners and of times.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    time::SystemTime,
};

use bytes::Bytes;

use crate::{
    key::{KeyPrefix, OwnerKey, StoreKey},
    record::{IndexEntry, Listed, Loaded, Record, Write},
    store::Swept,
};

/// How many index entries whose time has passed a write removes.
const REMOVED_PER_WRITE: usize = 4;

#[derive(Clone)]
pub(super) struct Held {
    bytes: Bytes,
    expires_at: SystemTime,
    pub(super) revision: u64,
}

impl From<&Held> for Loaded {
    fn from(held: &Held) -> Self {
        Self {
            bytes: held.bytes.clone(),
            expires_at: Some(held.expires_at),
            revision: held.revision.into(),
        }
    }
}

/// The records, by key, by expiry and by owner.
#[derive(Default)]
pub(super) struct Records {
    by_key: HashMap<StoreKey, Held>,
    by_expiry: BTreeSet<(SystemTime, StoreKey)>,
    owners: HashMap<OwnerKey, BTreeMap<StoreKey, SystemTime>>,
    entries_by_expiry: BTreeSet<(SystemTime, OwnerKey, StoreKey)>,
    last_revision: u64,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries_by_expiry.len()
    }

    pub(super) fn get(&self, key: &StoreKey) -> Option<&Held> {
        self.by_key.get(key)
    }

    /// Stores `record` in place of the record with the revision `before`, or as a new record if
    /// that is `None`.
    pub(super) fn put(
        &mut self,
        key: &StoreKey,
        record: &Record,
        before: Option<u64>,
        now: SystemTime,
    ) -> Write {
        let held = Held {
            bytes: record.bytes.clone(),
            expires_at: record.expires_at,
            revision: self.last_revision + 1,
        };
        let replaced = match self.by_key.entry(key.clone()) {
            Entry::Occupied(mut entry) if before == Some(entry.get().revision) => {
                Some(entry.insert(held))
            }
            Entry::Vacant(entry) if before.is_none() => {
                entry.insert(held);
                None
            }
            _ => return Write::Refused,
        };
        self.last_revision += 1;
        if let Some(replaced) = replaced
            && replaced.expires_at != record.expires_at
        {
            self.by_expiry.remove(&(replaced.expires_at, key.clone()));
        }
        self.by_expiry.insert((record.expires_at, key.clone()));
        if let Some(entry) = &record.entry {
            self.list(entry, key);
        }
        self.remove_entries(now, REMOVED_PER_WRITE);
        Write::Stored(self.last_revision.into())
    }

    pub(super) fn remove(&mut self, key: &StoreKey) {
        if let Some(held) = self.by_key.remove(key) {
            self.by_expiry.remove(&(held.expires_at, key.clone()));
        }
    }

    /// Removes up to `limit` records, and as many index entries.
    pub(super) fn sweep(&mut self, now: SystemTime, limit: usize) -> Swept {
        let mut removed = 0;
        for _ in 0..limit {
            match self.by_expiry.first() {
                Some((expires_at, _)) if *expires_at <= now => {}
                _ => break,
            }
            if let Some((_, key)) = self.by_expiry.pop_first() {
                self.by_key.remove(&key);
                removed += 1;
            }
        }
        let removed_entries = self.remove_entries(now, limit);
        Swept {
            removed: removed as u64,
            is_done: removed.max(removed_entries) < limit,
        }
    }

    /// Up to `limit` records of `owner` whose keys come after `after`, and the last key that was
    /// read if there may be more.
    pub(super) fn owned_by(
        &self,
        owner: &OwnerKey,
        after: Option<StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> (Vec<Listed>, Option<StoreKey>) {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let Some(keys) = self.owners.get(owner) else {
            return (Vec::new(), None);
        };
        let page: Vec<_> = keys
            .range((from, Unbounded))
            .filter(|(_, expires_at)| **expires_at > now)
            .map(|(key, _)| key)
            .take(limit.max(1))
            .collect();
        self.page(&page, limit)
    }

    /// Up to `limit` records whose keys `prefix` makes and that come after `after`, and the last of
    /// these keys if there may be more.
    ///
    /// It goes through all keys, because keeping them in order would cost each write.
    pub(super) fn of_prefix(
        &self,
        prefix: &KeyPrefix,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> (Vec<Listed>, Option<StoreKey>) {
        let mut page: Vec<_> = self
            .by_key
            .keys()
            .filter(|key| prefix.is_of_record(key.as_str()) && after < Some(*key))
            .collect();
        page.sort_unstable();
        page.truncate(limit.max(1));
        self.page(&page, limit)
    }

    /// The records of `page`, and its last key if it is full.
    fn page(&self, page: &[&StoreKey], limit: usize) -> (Vec<Listed>, Option<StoreKey>) {
        let last = page.last().filter(|_| page.len() >= limit.max(1));
        let records = page
            .iter()
            .filter_map(|key| {
                let bytes = &self.by_key.get(*key)?.bytes;
                Some(Listed {
                    key: (*key).clone(),
                    head: bytes.slice(..bytes.len().min(Record::HEAD)),
                })
            })
            .collect();
        (records, last.map(|key| (*key).clone()))
    }

    fn list(&mut self, entry: &IndexEntry, key: &StoreKey) {
        let expires_at = entry.expires_at;
        for name in entry.names() {
            let keys = self.owners.entry(name.clone()).or_default();
            if let Some(before) = keys.insert(key.clone(), expires_at) {
                self.entries_by_expiry
                    .remove(&(before, name.clone(), key.clone()));
            }
            self.entries_by_expiry
                .insert((expires_at, name.clone(), key.clone()));
        }
    }

    /// Removes up to `limit` entries whose time has passed.
    /// Returns how many it removed.
    fn remove_entries(&mut self, now: SystemTime, limit: usize) -> usize {
        for removed in 0..limit {
            match self.entries_by_expiry.first() {
                Some((expires_at, ..)) if *expires_at <= now => {}
                _ => return removed,
            }
            let Some((_, owner, key)) = self.entries_by_expiry.pop_first() else {
                return removed;
            };
            if let Some(keys) = self.owners.get_mut(&owner) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.owners.remove(&owner);
                }
            }
        }
        limit
    }
}
