//! The queues in which requests of this process wait for each other at one key.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, sleep_until, timeout_at},
};

use crate::{header, key::StoreKey, measure, record::Loaded};

/// The longest time that a request waits for its turn. A request that the application does not poll
/// must not delay the others.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// The queues of this process. Requests whose write to one key was refused wait for each other, so
/// that they do not refuse each other again and again. No rule depends on them: other processes
/// have their own queues.
#[derive(Debug)]
pub(crate) struct Queues {
    hasher: RandomState,
    queues: Box<[Queue]>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whoever has the lock has the turn. It leaves there what it stored.
    turn: Arc<Mutex<Option<Box<Stored>>>>,
    waiting: Arc<AtomicUsize>,
}

/// A request's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    stored: OwnedMutexGuard<Option<Box<Stored>>>,
    waiting: Arc<AtomicUsize>,
}

/// What a request stored in its turn. To a request that was waiting then, this is what a load would
/// have found.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) key: StoreKey,
    pub(crate) record: Loaded,
    /// When the write began.
    pub(crate) since: Instant,
}

/// Counts a request that waits.
struct Waiting<'q>(&'q Queue);

const QUEUES: u64 = 1024;

impl Default for Queues {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            queues: (0..QUEUES).map(|_| Queue::default()).collect(),
        }
    }
}

impl Queues {
    /// Waits until no other request of this process has the turn at `key`, and then a moment for
    /// other processes. `None` if that takes too long.
    ///
    /// With the turn comes what the request before stored under the key meanwhile.
    pub(crate) async fn turn(
        &self,
        key: &StoreKey,
        attempt: usize,
        end: Instant,
    ) -> (Option<Turn>, Option<Box<Stored>>) {
        let start = Instant::now();
        let queue = self.queue(key);
        let waiting = Waiting::at(queue);
        let limit = end.min(start + LONGEST_WAIT);
        let turn = timeout_at(limit, queue.turn.clone().lock_owned()).await;
        drop(waiting);
        let mut turn = turn.ok().map(|stored| Turn {
            stored,
            waiting: queue.waiting.clone(),
        });
        let mut stored = turn.as_mut().and_then(|turn| turn.stored.take());
        if attempt > 1 {
            sleep_until(end.min(Instant::now() + jitter(attempt))).await;
            // Another process writes to the key too.
            stored = None;
        }
        (
            turn,
            stored.filter(|it| it.key == *key && it.since >= start),
        )
    }

    /// Whether a request has the turn. Another write now would only be refused, or refuse that one.
    pub(crate) fn is_busy(&self, key: &StoreKey) -> bool {
        self.queue(key).turn.try_lock().is_err()
    }

    fn queue(&self, key: &StoreKey) -> &Queue {
        let hash = self.hasher.hash_one(key) % QUEUES;
        &self.queues[usize::try_from(hash).expect("a small number")]
    }
}

impl Turn {
    /// Leaves what was stored in this turn, if anybody waits for the next. Only a native record:
    /// others may have an end beside their bytes.
    pub(crate) fn leave(&mut self, stored: Option<Box<Stored>>) {
        *self.stored = stored.filter(|it| {
            self.waiting.load(Relaxed) > 0 && header::tagged(&it.record.bytes).is_some()
        });
    }
}

impl<'q> Waiting<'q> {
    fn at(queue: &'q Queue) -> Self {
        queue.waiting.fetch_add(1, Relaxed);
        measure::waits(true);
        Self(queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        measure::waits(false);
        let was_last = self.0.waiting.fetch_sub(1, Relaxed) == 1;
        // If it gave up waiting, nobody takes what was left.
        if was_last && let Ok(mut stored) = self.0.turn.try_lock() {
            *stored = None;
        }
    }
}

/// A random pause of up to some milliseconds, longer after more attempts.
fn jitter(attempt: usize) -> Duration {
    let random = getrandom::u32().unwrap_or_default() & 0xffff;
    let most = 500 * u64::try_from(attempt.min(16)).expect("16 at most");
    Duration::from_micros(u64::from(random) % most)
}
