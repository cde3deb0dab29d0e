//! The queues in which requests of this process wait for each other at one key.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{header, key::StoreKey, measure, record::Loaded};

/// The longest time that a request waits for its turn. A request that the application does not poll
/// must not delay the others.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// If requests have waited for the last turn, those that come so soon after it take a turn, too, before
/// they write. Without one, all but the first of them would be refused.
const RECENT: Duration = Duration::from_millis(20);

/// How many turns in a row are passed on before a write is answered. They go to requests of one thread;
/// those on other threads wait meanwhile.
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
    /// Whether a request has waited since the turn was last free.
    was_awaited: bool,
    /// When the turn became free, if a request had waited for it.
    free_since: Option<Instant>,
    /// How many turns in a row were passed on before the write was answered.
    passed: usize,
}

#[derive(Debug)]
struct Waiter {
    thread: ThreadId,
    /// Whether it can write on a record that is not stored yet.
    writes_behind: bool,
    sender: oneshot::Sender<Turn>,
}

/// A request's turn. When it is dropped, the next request has it.
#[derive(Debug)]
pub(crate) struct Turn {
    queue: Arc<Queue>,
    /// What was stored in the turn before, or later in this one.
    stored: Option<Box<Stored>>,
}

/// What a request stored in its turn. To a request that was waiting then, this is what a load would
/// have found.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) key: StoreKey,
    pub(crate) record: Loaded,
    /// When the write began.
    pub(crate) since: Instant,
    /// Whether the store has answered that it is stored.
    pub(crate) is_confirmed: bool,
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
    /// With the turn comes what the request before stored under the key meanwhile. If this one
    /// `writes_behind`, it may be a record that is not stored yet.
    pub(crate) async fn turn(
        &self,
        key: &StoreKey,
        attempt: usize,
        writes_behind: bool,
        end: Instant,
    ) -> (Option<Turn>, Option<Box<Stored>>) {
        let start = Instant::now();
        // Another process writes to the key too.
        let is_contended = attempt > 1;
        let mut turn = match self.queue(key).enter(writes_behind && !is_contended) {
            Ok(turn) => Some(turn),
            Err(passed) => {
                let _waiting = Waiting::begin();
                let limit = end.min(start + LONGEST_WAIT);
                timeout_at(limit, passed).await.ok().and_then(Result::ok)
            }
        };
        if is_contended {
            sleep_until(end.min(Instant::now() + jitter(attempt))).await;
        }
        let stored = turn.as_mut().and_then(|turn| turn.stored.take());
        let fits = |it: &Stored| !is_contended && it.key == *key && it.since >= start;
        (turn, stored.filter(|it| fits(it)))
    }

    /// Whether a request has the turn, or others waited for it a moment ago. Another write now would
    /// only be refused, or refuse that one.
    pub(crate) fn is_busy(&self, key: &StoreKey) -> bool {
        let line = self.queue(key).line();
        line.has_turn
            || line
                .free_since
                .is_some_and(|since| since.elapsed() < RECENT)
    }

    fn queue(&self, key: &StoreKey) -> &Arc<Queue> {
        let hash = self.hasher.hash_one(key) % QUEUES;
        &self.queues[usize::try_from(hash).expect("a small number")]
    }
}

impl Queue {
    /// Takes the turn if nobody has it, or a place in the queue.
    fn enter(self: &Arc<Self>, writes_behind: bool) -> Result<Turn, oneshot::Receiver<Turn>> {
        let mut line = self.line();
        if !line.has_turn {
            line.has_turn = true;
            line.passed = 0;
            return Ok(Turn::of(self, None));
        }
        line.was_awaited = true;
        if line.waiting.len() == line.waiting.capacity() {
            line.waiting.retain(|waiter| !waiter.gave_up());
        }
        let (sender, passed) = oneshot::channel();
        line.waiting.push_back(Waiter {
            thread: thread::current().id(),
            // A task that could move to another thread would write there, on another connection.
            writes_behind: writes_behind && stays_on_thread(),
            sender,
        });
        Err(passed)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The first request that can write behind a write that the store has not answered. It is on this
    /// thread, so its write goes the same way and comes behind the other.
    fn next_behind(&mut self) -> Option<Waiter> {
        if self.passed >= MOST_PASSED {
            return None;
        }
        let me = thread::current().id();
        let is_next = |it: &Waiter| it.writes_behind && it.thread == me && !it.gave_up();
        let place = self.waiting.iter().position(is_next)?;
        self.passed += 1;
        self.waiting.remove(place)
    }

    /// The first request that still waits. If there is none, the turn is free.
    fn next(&mut self) -> Option<Waiter> {
        self.passed = 0;
        while let Some(waiter) = self.waiting.pop_front() {
            if !waiter.gave_up() {
                return Some(waiter);
            }
        }
        self.has_turn = false;
        self.free_since = take(&mut self.was_awaited).then(Instant::now);
        None
    }
}

impl Waiter {
    fn gave_up(&self) -> bool {
        self.sender.is_closed()
    }

    /// If it gives up meanwhile, the turn is dropped, and the next request has it.
    fn gets(self, turn: Turn) {
        drop(self.sender.send(turn));
    }
}

impl Turn {
    fn of(queue: &Arc<Queue>, stored: Option<Box<Stored>>) -> Self {
        Self {
            queue: Arc::clone(queue),
            stored,
        }
    }

    /// Passes the turn on before the write of this request is answered: to a request whose write goes
    /// to the store behind it, and which gets the record that `unconfirmed` returns. Returns the turn
    /// if there is none.
    pub(crate) fn pass_on_early(self, unconfirmed: impl FnOnce() -> Stored) -> Option<Self> {
        let next = self.queue.line().next_behind();
        let Some(waiter) = next else {
            return Some(self);
        };
        let mut turn = self;
        turn.stored = Some(Box::new(unconfirmed()));
        waiter.gets(turn);
        None
    }

    /// Leaves what was stored in this turn to the next request. Only a native record: others may
    /// have an end beside their bytes.
    pub(crate) fn leave(&mut self, stored: Option<Box<Stored>>) {
        self.stored = stored.filter(|it| header::tagged(&it.record.bytes).is_some());
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.queue.line().next();
        if let Some(waiter) = next {
            // The next one may not be a request that writes behind: see `pass_on_early`.
            let stored = self.stored.take().filter(|it| it.is_confirmed);
            waiter.gets(Self::of(&self.queue, stored));
        }
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

/// Whether a task of this runtime stays on its thread.
fn stays_on_thread() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

/// A random pause of up to some milliseconds, longer after more attempts.
fn jitter(attempt: usize) -> Duration {
    let random = getrandom::u32().unwrap_or_default() & 0xffff;
    let most = 500 * u64::try_from(attempt.min(16)).expect("16 at most");
    Duration::from_micros(u64::from(random) % most)
}
