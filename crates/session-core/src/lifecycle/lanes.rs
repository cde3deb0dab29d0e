use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use crate::key::StoreKey;

/// Where requests of this process that were refused at one key wait for each other, instead of refusing each other
/// again and again. No rule depends on it: other processes have lanes of their own.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    hasher: RandomState,
    lanes: [Mutex<()>; 32],
}

impl Lanes {
    pub(crate) async fn enter(&self, key: &StoreKey) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(key);
        let lane = usize::try_from(hash % 32).expect("a number below 32");
        self.lanes[lane].lock().await
    }
}
