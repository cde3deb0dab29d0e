//! The queues in which requests of this process wait for each other at one key.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, sleep_until, timeout_at},
};

use crate::key::StoreKey;

/// The longest time that a request waits for its turn. A request that the application does not poll
/// must not delay the others.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// The queues of this process. Requests whose write to one key was refused wait for each other, so
/// that they do not refuse each other again and again. No rule depends on them: other processes
/// have their own queues.
#[derive(Debug)]
pub(crate) struct Queues {
    hasher: RandomState,
    queues: Box<[Arc<Mutex<()>>]>,
}

/// A request's turn, until it is dropped.
pub(crate) type Turn = OwnedMutexGuard<()>;

const QUEUES: u64 = 1024;

impl Default for Queues {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            queues: (0..QUEUES).map(|_| Arc::default()).collect(),
        }
    }
}

impl Queues {
    /// Waits until no other request of this process has the turn at `key`, and then a moment for
    /// other processes. `None` if that takes too long.
    pub(crate) async fn turn(&self, key: &StoreKey, attempt: usize, end: Instant) -> Option<Turn> {
        let start = Instant::now();
        let queue = self.queue(key).clone();
        let turn = timeout_at(end.min(start + LONGEST_WAIT), queue.lock_owned()).await;
        if attempt > 1 {
            sleep_until(end.min(Instant::now() + jitter(attempt))).await;
        }
        turn.ok()
    }

    /// Whether a request has the turn. Another write now would only be refused, or refuse that one.
    pub(crate) fn is_busy(&self, key: &StoreKey) -> bool {
        self.queue(key).try_lock().is_err()
    }

    fn queue(&self, key: &StoreKey) -> &Arc<Mutex<()>> {
        let hash = self.hasher.hash_one(key) % QUEUES;
        &self.queues[usize::try_from(hash).expect("a small number")]
    }
}

/// A random pause of up to some milliseconds, longer after more attempts.
fn jitter(attempt: usize) -> Duration {
    let random = getrandom::u32().unwrap_or_default() & 0xffff;
    let most = 500 * u64::try_from(attempt.min(16)).expect("16 at most");
    Duration::from_micros(u64::from(random) % most)
}
