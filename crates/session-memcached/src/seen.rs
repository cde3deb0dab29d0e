use std::sync::{Mutex, PoisonError};

const SLOTS: usize = 4096;

/// The CAS tokens of the records that this process saw last.
///
/// Only a hint that saves an update one round trip: what is missing or out of date is read again, and the node decides.
/// Takes about 200 KB.
pub(crate) struct Seen(Box<[Mutex<Sight>]>);

/// What was seen of a record.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sight {
    /// The hash of the record's key.
    pub(crate) key: u64,
    pub(crate) revision: u64,
    pub(crate) cas: u64,
    /// In milliseconds since the epoch.
    pub(crate) expires: u64,
}

impl Seen {
    pub(crate) fn put(&self, sight: Sight) {
        *self
            .slot(sight.key)
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = sight;
    }

    pub(crate) fn get(&self, key: u64, revision: u64) -> Option<Sight> {
        let sight = *self
            .slot(key)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (sight.key == key && sight.revision == revision).then_some(sight)
    }

    fn slot(&self, key: u64) -> &Mutex<Sight> {
        let index = usize::try_from(key % SLOTS as u64).expect("a remainder of 4096 fits");
        &self.0[index]
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| Mutex::default()).collect())
    }
}
