use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use crate::key::StoreKey;

/// Where requests of this process that were refused at one key wait for each other, instead of refusing each other
/// again and again. No rule depends on it: other processes have lanes of their own.
#[derive(Debug)]
pub(crate) struct Lanes {
    hasher: RandomState,
    lanes: Box<[Mutex<()>]>,
}

const LANES: u64 = 1024;

impl Default for Lanes {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            lanes: (0..LANES).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Lanes {
    /// Waits for the others.
    pub(crate) async fn enter(&self, key: &StoreKey) -> MutexGuard<'_, ()> {
        self.lane(key).lock().await
    }

    /// Whether somebody is in the lane: another change now would only refuse him.
    pub(crate) fn is_busy(&self, key: &StoreKey) -> bool {
        self.lane(key).try_lock().is_err()
    }

    fn lane(&self, key: &StoreKey) -> &Mutex<()> {
        let hash = self.hasher.hash_one(key) % LANES;
        &self.lanes[usize::try_from(hash).expect("a small number")]
    }
}
