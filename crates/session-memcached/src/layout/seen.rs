use std::sync::{Mutex, PoisonError};

use super::stamp::Stamp;

const SLOTS: usize = 4096;

/// The CAS numbers of the records that this process saw last, about 200 KB of them.
///
/// Only a hint that saves an update one round trip: what is missing or out of date is read again, and the node decides.
pub(crate) struct Seen(Box<[Mutex<Option<Sight>>]>);

/// What was seen of a record.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    pub(super) stamp: Stamp,
    pub(super) cas: u64,
}

impl Seen {
    pub(super) fn put(&self, sight: Sight) {
        *self
            .slot(sight.stamp.key)
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(sight);
    }

    /// The record of this revision under the key whose hash is `key`.
    pub(super) fn get(&self, key: u64, revision: u64) -> Option<Sight> {
        self.slot(key)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .filter(|sight| sight.stamp.key == key && sight.stamp.revision == revision)
    }

    fn slot(&self, key: u64) -> &Mutex<Option<Sight>> {
        let index = usize::try_from(key % SLOTS as u64).expect("a remainder of 4096 fits");
        &self.0[index]
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| Mutex::default()).collect())
    }
}
