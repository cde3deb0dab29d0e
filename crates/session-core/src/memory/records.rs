use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::SystemTime,
};

use super::owners::Owners;
use crate::{
    key::{OwnerKey, StoreKey},
    record::{Loaded, Record, Revision},
};

/// How many due entries of the owner index a write looks at.
const HEALED_PER_WRITE: usize = 4;

#[derive(Clone)]
pub(super) struct Held {
    // Shared, so that the bytes are copied outside the lock.
    payload: Arc<[u8]>,
    pub(super) expires_at: SystemTime,
    pub(super) revision: u64,
}

impl From<Held> for Loaded {
    fn from(held: Held) -> Self {
        Self {
            payload: held.payload.to_vec(),
            expires_at: held.expires_at,
            revision: held.revision.into(),
        }
    }
}

/// The records, each filed under its key, its expiry and its owner.
#[derive(Default)]
pub(super) struct Records {
    by_key: HashMap<StoreKey, Held>,
    by_expiry: BTreeSet<(SystemTime, StoreKey)>,
    owners: Owners,
    last_revision: u64,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.owners.len()
    }

    pub(super) fn live(&self, key: &StoreKey, now: SystemTime) -> Option<&Held> {
        self.by_key.get(key).filter(|held| held.expires_at > now)
    }

    pub(super) fn put(&mut self, key: &StoreKey, record: &Record, now: SystemTime) -> Revision {
        self.remove(key);
        self.last_revision += 1;
        let held = Held {
            payload: record.payload.as_slice().into(),
            expires_at: record.expires_at,
            revision: self.last_revision,
        };
        self.by_key.insert(key.clone(), held);
        self.by_expiry.insert((record.expires_at, key.clone()));
        if let Some(owner) = &record.owner {
            self.owners.file(owner, key, record.expires_at);
        }
        self.heal(now, HEALED_PER_WRITE);
        self.last_revision.into()
    }

    pub(super) fn move_expiry(&mut self, key: &StoreKey, expires_at: SystemTime) {
        if let Some(held) = self.by_key.get_mut(key) {
            self.by_expiry.remove(&(held.expires_at, key.clone()));
            held.expires_at = expires_at;
            self.by_expiry.insert((expires_at, key.clone()));
        }
    }

    pub(super) fn remove(&mut self, key: &StoreKey) {
        if let Some(held) = self.by_key.remove(key) {
            self.by_expiry.remove(&(held.expires_at, key.clone()));
        }
    }

    pub(super) fn sweep(&mut self, now: SystemTime, limit: usize) -> u64 {
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
        self.heal(now, limit);
        removed
    }

    pub(super) fn owned_by(&self, owner: &OwnerKey, now: SystemTime) -> Vec<(StoreKey, Held)> {
        self.owners
            .keys_of(owner)
            .filter_map(|key| Some((key.clone(), self.live(key, now)?.clone())))
            .collect()
    }

    fn heal(&mut self, now: SystemTime, limit: usize) {
        let Self { by_key, owners, .. } = self;
        owners.heal(now, limit, |key| {
            let expires_at = by_key.get(key)?.expires_at;
            (expires_at > now).then_some(expires_at)
        });
    }
}
