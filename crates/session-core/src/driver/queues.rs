//! The queues in which requests of this process wait for each other at one key.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{header, key::StoreKey, measure, record::Loaded};

/// The longest time that a request waits for its turn. A request that the application does not poll
/// must not delay the others.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// How long after a turn other requests still take one before they write. Of requests that come at
/// the same time, all but one would be refused otherwise.
const RECENT: Duration = Duration::from_millis(20);

/// How many turns in a row are passed on before the write is answered. Requests on other threads
/// wait as long.
const MOST_PASSED: usize = 64;

/// The queues of this process. Requests that write to one key wait for each other, so that they do
/// not refuse each other again and again. No rule depends on them: other processes have their own
/// queues.
#[derive(Debug)]
pub(crate) struct Queues {
    hasher: RandomState,
    queues: Box<[Arc<Queue>]>,
}

#[derive(Debug, Default)]
struct Queue(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    has_turn: bool,
    waiting: VecDeque<Waiter>,
    /// When the last turn ended.
    last: Option<Instant>,
    /// How many turns in a row were passed on before the write was answered.
    passed: usize,
}

#[derive(Debug)]
struct Waiter {
    thread: ThreadId,
    /// Whether it writes at once, on what was stored in the turn before.
    is_ready: bool,
    sender: oneshot::Sender<Passed>,
}

/// A turn, and what the request before stored in it, or is about to store.
type Passed = (Turn, Option<Box<Stored>>);

/// A request's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    queue: Arc<Queue>,
    /// What the next request gets with the turn.
    stored: Option<Box<Stored>>,
    is_over: bool,
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
struct Waiting;

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
    ///
    /// With the turn comes what the request before stored under the key meanwhile, or is about to
    /// store by a write that goes to the store before any that follows from it.
    pub(crate) async fn turn(
        &self,
        key: &StoreKey,
        attempt: usize,
        end: Instant,
    ) -> (Option<Turn>, Option<Box<Stored>>) {
        let start = Instant::now();
        // Another process writes to the key too.
        let is_contended = attempt > 1;
        let (turn, stored) = match self.queue(key).enter(!is_contended) {
            Ok(turn) => (Some(turn), None),
            Err(passed) => {
                let _waiting = Waiting::begin();
                let limit = end.min(start + LONGEST_WAIT);
                match timeout_at(limit, passed).await {
                    Ok(Ok((turn, stored))) => (Some(turn), stored),
                    Ok(Err(_)) | Err(_) => (None, None),
                }
            }
        };
        if is_contended {
            sleep_until(end.min(Instant::now() + jitter(attempt))).await;
        }
        let stored = stored.filter(|it| !is_contended && it.key == *key && it.since >= start);
        (turn, stored)
    }

    /// Whether a request has the turn, or had it a moment ago. Another write now would only be
    /// refused, or refuse that one.
    pub(crate) fn is_busy(&self, key: &StoreKey) -> bool {
        let line = self.queue(key).line();
        line.has_turn || line.last.is_some_and(|last| last.elapsed() < RECENT)
    }

    fn queue(&self, key: &StoreKey) -> &Arc<Queue> {
        let hash = self.hasher.hash_one(key) % QUEUES;
        &self.queues[usize::try_from(hash).expect("a small number")]
    }
}

impl Queue {
    /// Takes the turn if nobody has it, or a place in the queue.
    fn enter(self: &Arc<Self>, is_ready: bool) -> Result<Turn, oneshot::Receiver<Passed>> {
        let mut line = self.line();
        if !line.has_turn {
            line.has_turn = true;
            line.passed = 0;
            return Ok(Turn::new(self.clone()));
        }
        // Those that gave up. All wait equally long, so the first give up first.
        while line.waiting.front().is_some_and(Waiter::is_gone) {
            line.waiting.pop_front();
        }
        let (sender, passed) = oneshot::channel();
        line.waiting.push_back(Waiter {
            thread: thread::current().id(),
            is_ready,
            sender,
        });
        Err(passed)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The first request on this thread that can write right behind a write that was not answered
    /// yet. Only there does it come behind it for certain, on the same connection.
    fn next_behind(&mut self) -> Option<Waiter> {
        if self.passed >= MOST_PASSED {
            return None;
        }
        let me = thread::current().id();
        let is_next = |it: &Waiter| it.is_ready && it.thread == me && !it.is_gone();
        let place = self.waiting.iter().position(is_next)?;
        self.passed += 1;
        self.waiting.remove(place)
    }

    /// The first request that still waits. If there is none, nobody has the turn.
    fn next(&mut self) -> Option<Waiter> {
        self.passed = 0;
        while let Some(waiter) = self.waiting.pop_front() {
            if !waiter.is_gone() {
                return Some(waiter);
            }
        }
        self.has_turn = false;
        self.last = Some(Instant::now());
        None
    }
}

impl Waiter {
    fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Turn {
    fn new(queue: Arc<Queue>) -> Self {
        Self {
            queue,
            stored: None,
            is_over: false,
        }
    }

    /// Passes the turn on before the write of this request, of what `stored` returns, is answered:
    /// to a request whose write goes to the store behind it.
    pub(crate) fn pass_on_early(&mut self, stored: impl FnOnce() -> Stored) {
        if self.is_over {
            return;
        }
        let next = self.queue.line().next_behind();
        let Some(waiter) = next else { return };
        self.is_over = true;
        // Whoever gave up since then drops the turn, which passes it on.
        let next = Turn::new(self.queue.clone());
        drop(waiter.sender.send((next, Some(Box::new(stored())))));
    }

    /// Leaves what was stored in this turn to the next request. Only a native record: others may
    /// have an end beside their bytes.
    pub(crate) fn leave(&mut self, stored: Option<Box<Stored>>) {
        self.stored = stored.filter(|it| header::tagged(&it.record.bytes).is_some());
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let next = self.queue.line().next();
        let Some(waiter) = next else { return };
        let next = Turn::new(self.queue.clone());
        // Whoever gave up since then drops the turn, which passes it on.
        drop(waiter.sender.send((next, self.stored.take())));
    }
}

impl Waiting {
    fn begin() -> Self {
        measure::waits(true);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        measure::waits(false);
    }
}

/// A random pause of up to some milliseconds, longer after more attempts.
fn jitter(attempt: usize) -> Duration {
    let random = getrandom::u32().unwrap_or_default() & 0xffff;
    let most = 500 * u64::try_from(attempt.min(16)).expect("16 at most");
    Duration::from_micros(u64::from(random) % most)
}
