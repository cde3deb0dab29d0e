use std::{
    collections::{BTreeSet, HashMap},
    time::SystemTime,
};

use crate::key::{OwnerKey, StoreKey};

/// Which keys each owner's records have.
///
/// An entry goes only when its time has passed *and* its record is absent: a touch moves the record's expiry and not
/// the entry's, and a renewal leaves the old entry in place.
#[derive(Default)]
pub(super) struct Owners {
    entries: HashMap<OwnerKey, HashMap<StoreKey, SystemTime>>,
    due: BTreeSet<(SystemTime, OwnerKey, StoreKey)>,
}

impl Owners {
    pub(super) fn file(&mut self, owner: &OwnerKey, key: &StoreKey, time: SystemTime) {
        let keys = self.entries.entry(owner.clone()).or_default();
        if let Some(before) = keys.insert(key.clone(), time) {
            self.due.remove(&(before, owner.clone(), key.clone()));
        }
        self.due.insert((time, owner.clone(), key.clone()));
    }

    pub(super) fn keys_of(&self, owner: &OwnerKey) -> impl Iterator<Item = &StoreKey> {
        self.entries.get(owner).into_iter().flat_map(HashMap::keys)
    }

    /// Looks at up to `limit` entries whose time has passed; `expiry` tells when a record that still lives ends.
    pub(super) fn heal(
        &mut self,
        now: SystemTime,
        limit: usize,
        expiry: impl Fn(&StoreKey) -> Option<SystemTime>,
    ) {
        for _ in 0..limit {
            match self.due.first() {
                Some((time, ..)) if *time <= now => {}
                _ => return,
            }
            let Some((_, owner, key)) = self.due.pop_first() else {
                return;
            };
            if let Some(expires_at) = expiry(&key) {
                self.file(&owner, &key, expires_at);
            } else if let Some(keys) = self.entries.get_mut(&owner) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.entries.remove(&owner);
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}
