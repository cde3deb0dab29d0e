//! Runs a request's [`Machine`] over the store: one call at a time, within the request's budget of store time.
//!
//! No future owns a call that is under way: whoever waits for the session polls it. So a `save` that the application
//! drops, or never polls again, takes nothing with it; the next that waits goes on where it stopped.

mod queues;
mod waiters;

use std::{
    cell::Cell,
    future::Future,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

pub(crate) use self::queues::Queues;
use self::{queues::Turn, waiters::Waiters};
use crate::{
    error::{Error, Result},
    machine::{Answer, Call, Goal, Inputs, Machine, Saved},
    owned::PATIENCE,
    rules::Presented,
    shared::Shared,
};

/// For a budget that no clock can count to the end of: a day.
const FOREVER: Duration = Duration::from_hours(24);

/// A request's session, its store calls and those who wait for them.
pub(crate) struct Request {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// The number of the thread that holds the lock, or 0.
    holder: AtomicUsize,
    route: OnceLock<String>,
    unsaved: Unsaved,
}

/// What is left of a request when its last handle is dropped.
pub type BackgroundSave = Pin<Box<dyn Future<Output = Result<Saved>> + Send>>;

/// What becomes of a session's changes that are not saved when its last handle is dropped.
#[derive(Clone, Copy)]
pub(crate) enum Unsaved {
    /// Nobody expects them to be saved.
    Ignored,
    /// They are counted in the log.
    Counted,
    /// The same, but what was begun, and a log-out, is given to this function, which runs it to its end.
    Finished(fn(BackgroundSave)),
}

struct State {
    machine: Machine,
    /// The store time that is left.
    left: Duration,
    /// The time that is left for work on a user's sessions.
    work_left: Duration,
    under_way: Option<Pin<Box<dyn Future<Output = Answered> + Send>>>,
    turn: Option<Turn>,
    waiters: Waiters,
}

/// An answer, and the time it took.
struct Answered {
    answer: Answer,
    turn: Option<Turn>,
    took: Duration,
}

/// A request's session while it is locked.
pub(crate) struct Locked<'r> {
    state: MutexGuard<'r, State>,
    request: &'r Request,
}

impl Request {
    pub(crate) fn new(shared: Arc<Shared>, machine: Machine, budget: Duration) -> Self {
        Self::of(shared, State::new(machine, budget), Unsaved::Ignored)
    }

    /// A request of a browser.
    pub(crate) fn of_request_session(shared: Arc<Shared>, unsaved: Unsaved) -> Self {
        let budget = shared.rules.settings.store_timeout;
        Self::of(shared, State::new(Machine::new(), budget), unsaved)
    }

    fn of(shared: Arc<Shared>, state: State, unsaved: Unsaved) -> Self {
        Self {
            shared,
            state: Mutex::new(state),
            holder: AtomicUsize::new(0),
            route: OnceLock::new(),
            unsaved,
        }
    }

    /// Has the calls from now on take `most` together, if that is less than what is left.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub(crate) fn limit(&self, most: Duration) -> Result<()> {
        let mut locked = self.lock()?;
        locked.state.left = locked.state.left.min(most);
        Ok(())
    }

    pub(crate) fn set_route(&self, route: String) {
        let _first = self.route.set(route);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The machine.
    ///
    /// # Errors
    ///
    /// [`Error::Reentrant`] if this thread has it already: the closure of an `update` uses the session it changes.
    pub(crate) fn lock(&self) -> Result<Locked<'_>> {
        let me = thread_number();
        if self.holder.load(Ordering::Relaxed) == me {
            REENTERED.set(true);
            return Err(Error::Reentrant);
        }
        // A panic in an application's closure leaves a run that the next who waits ends with an error.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.holder.store(me, Ordering::Relaxed);
        Ok(Locked {
            state,
            request: self,
        })
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let machine = &mut state.machine;
        let finish = match self.unsaved {
            _ if machine.is_finishing() => return,
            Unsaved::Ignored => return,
            Unsaved::Finished(finish) if machine.has_background_save() => Some(finish),
            Unsaved::Counted | Unsaved::Finished(_) => None,
        };
        let changes = machine.unsaved_changes(finish.is_some());
        let route = self.route.get();
        if changes > 0 && machine.is_head_sent() {
            tracing::warn!(
                changes,
                route,
                "changes to a session were made after its last save and are lost; save them before, or in the stream"
            );
        } else if changes > 0 {
            tracing::warn!(
                changes,
                route,
                "a request was cut off before its handler's end; changes to its session are not saved"
            );
        }
        if let Some(finish) = finish {
            machine.keep_background_save();
            let nothing = State::new(Machine::blank(), Duration::ZERO);
            let state = std::mem::replace(state, nothing);
            let rest = Self::of(self.shared.clone(), state, Unsaved::Ignored);
            finish(Box::pin(Drive::new(Arc::new(rest), Aim::Reach(Goal::Save))));
        }
    }
}

impl Locked<'_> {
    /// The time that is left for work on a user's sessions; after the head each call has all of it.
    pub(crate) fn work_left(&self) -> Duration {
        if self.is_head_sent() {
            let budget = self.request.shared.rules.settings.store_timeout;
            budget.saturating_mul(PATIENCE)
        } else {
            self.state.work_left
        }
    }

    pub(crate) fn spend_work(&mut self, took: Duration) {
        self.state.work_left = self.state.work_left.saturating_sub(took);
    }
}

impl Deref for Locked<'_> {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.state.machine
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Machine {
        &mut self.state.machine
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.request.holder.store(0, Ordering::Relaxed);
    }
}

thread_local! {
    static ANCHOR: u8 = const { 0 };
    static REENTERED: Cell<bool> = const { Cell::new(false) };
}

/// A number that no other thread has while this one runs.
fn thread_number() -> usize {
    ANCHOR.with(|anchor| std::ptr::from_ref(anchor).addr())
}

/// Runs the application's `closure`, which may not use the session that is locked by now.
///
/// # Errors
///
/// [`Error::Reentrant`] if it did, also through a method that cannot fail.
pub(crate) fn apart<T>(closure: impl FnOnce() -> T) -> Result<T> {
    let before = REENTERED.replace(false);
    let value = closure();
    let reentered = REENTERED.get();
    // Within the closure of another session's `update`, that one hears of it too.
    REENTERED.set(before || reentered);
    if reentered {
        Err(Error::Reentrant)
    } else {
        Ok(value)
    }
}

/// What a [`Drive`] is for.
pub(crate) enum Aim {
    /// The session of the first of these ids that is live.
    Open(Vec<Presented>),
    Reach(Goal),
}

/// Waits until what it is for is done, and takes its part in doing it.
pub(crate) struct Drive {
    request: Arc<Request>,
    aim: Aim,
    /// The run that it began.
    run: Option<u64>,
    waiter: Option<u64>,
    /// The end of its budget, if it waits for others of the request after the head, where each call has its own.
    end: Option<Pin<Box<Sleep>>>,
}

impl Aim {
    /// Begins the run that it takes, while nothing else is under way; `None` if it takes none.
    fn begin(&mut self, state: &mut State, shared: &Shared, end: Option<Instant>) -> Option<u64> {
        let machine = &mut state.machine;
        match self {
            Self::Open(_) if machine.is_opened() => None,
            Self::Open(candidates) => {
                let candidates = std::mem::take(candidates);
                Some(with_inputs(shared, |inputs| {
                    machine.open(candidates, inputs)
                }))
            }
            Self::Reach(goal) => {
                // A stream may go on for hours, so each of its calls has a budget of its own.
                if machine.is_head_sent() {
                    state.left = end.map_or(shared.rules.settings.store_timeout, |end| {
                        end.saturating_duration_since(Instant::now())
                    });
                }
                Some(with_inputs(shared, |inputs| machine.begin(*goal, inputs)))
            }
        }
    }
}

impl Drive {
    pub(crate) fn new(request: Arc<Request>, aim: Aim) -> Self {
        Self {
            request,
            aim,
            run: None,
            waiter: None,
            end: None,
        }
    }
}

impl Future for Drive {
    type Output = Result<Saved>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            request,
            aim,
            run,
            waiter,
            end,
        } = &mut *self;
        let shared = &request.shared;
        let mut locked = match request.lock() {
            Ok(locked) => locked,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let state = &mut *locked.state;
        loop {
            if let Some(number) = *run {
                if let Some(result) = state.machine.result(number) {
                    *run = None;
                    state.waiters.remove(waiter.take());
                    return Poll::Ready(result);
                }
                // Its result was told to the end of the request.
                if !state.machine.runs(number) {
                    *run = None;
                    return Poll::Ready(Err(Error::Unknown));
                }
            } else if !state.machine.is_running() {
                let end = end.as_ref().map(|end| end.deadline());
                *run = aim.begin(state, shared, end);
                if run.is_none() {
                    state.waiters.remove(waiter.take());
                    return Poll::Ready(Ok(Saved::Unchanged));
                }
                continue;
            }
            let all = state.waiters.with_others(*waiter, context.waker());
            let waker = all.as_ref().unwrap_or(context.waker());
            match state.advance(shared, &mut Context::from_waker(waker)) {
                Poll::Pending => {
                    if run.is_none() && state.machine.is_head_sent() {
                        let budget = shared.rules.settings.store_timeout;
                        let end = end.get_or_insert_with(|| {
                            Box::pin(sleep_until(after(Instant::now(), budget)))
                        });
                        if end.as_mut().poll(context).is_ready() {
                            state.leave(waiter.take());
                            return Poll::Ready(Err(Error::Timeout { budget }));
                        }
                    }
                    state.waiters.register(waiter, context.waker());
                    return Poll::Pending;
                }
                Poll::Ready(()) if state.machine.is_running() => {}
                Poll::Ready(()) => state.waiters.wake_others(*waiter),
            }
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if self.waiter.is_none() && self.run.is_none() {
            return;
        }
        if let Ok(mut locked) = self.request.lock() {
            if let Some(run) = self.run {
                locked.state.machine.abandon(run);
            }
            locked.state.leave(self.waiter);
        }
    }
}

impl State {
    fn new(machine: Machine, left: Duration) -> Self {
        Self {
            machine,
            left,
            work_left: left.saturating_mul(PATIENCE),
            under_way: None,
            turn: None,
            waiters: Waiters::default(),
        }
    }

    /// One stops waiting, and one of the others goes on with the call under way.
    fn leave(&mut self, waiter: Option<u64>) {
        self.waiters.remove(waiter);
        // Without any, requests elsewhere are not to wait.
        if self.waiters.is_empty() {
            self.turn = None;
        }
    }

    /// Goes on with the call under way, or begins the next; ready when it was answered.
    fn advance(&mut self, shared: &Arc<Shared>, context: &mut Context<'_>) -> Poll<()> {
        if self.under_way.is_none() {
            let Some(call) = self.machine.next_call() else {
                self.machine.fail_run();
                return Poll::Ready(());
            };
            if matches!(call, Call::Turn(..)) {
                // No turn is held while another is waited for.
                self.turn = None;
            }
            self.under_way = Some(call_store(shared.clone(), call, self.left));
        }
        let Some(under_way) = &mut self.under_way else {
            return Poll::Ready(());
        };
        let answered = std::task::ready!(under_way.as_mut().poll(context));
        self.under_way = None;
        self.left = self.left.saturating_sub(answered.took);
        if answered.turn.is_some() {
            self.turn = answered.turn;
        }
        let machine = &mut self.machine;
        with_inputs(shared, |inputs| {
            machine.answer(answered.answer, inputs);
            machine.remake(inputs.rules, inputs.now);
        });
        if !self.machine.is_running() {
            self.turn = None;
        }
        Poll::Ready(())
    }
}

/// Calls `with` with what a machine needs from outside.
fn with_inputs<T>(shared: &Shared, with: impl FnOnce(&mut Inputs<'_>) -> T) -> T {
    with(&mut Inputs {
        rules: &shared.rules,
        now: shared.now(),
        random: &mut |bytes| {
            getrandom::fill(bytes).expect("the operating system gives random numbers");
        },
        others_wait: &|key| shared.queues.is_busy(key),
    })
}

/// Does what `call` says, within `left`.
fn call_store(
    shared: Arc<Shared>,
    call: Call,
    left: Duration,
) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    // Each call has a future of its own, so that the small ones stay small.
    match call {
        Call::Load(key) => Box::pin(async move {
            let (loaded, took) = within(left, &shared, shared.store.load(&key)).await;
            Answered::of(Answer::Loaded(loaded), took)
        }),
        Call::Insert(key, record) => Box::pin(async move {
            let insert = shared.store.insert(&key, &record);
            let (written, took) = within(left, &shared, insert).await;
            Answered::of(Answer::Written(written), took)
        }),
        Call::Update(key, record, revision) => Box::pin(async move {
            let update = shared.store.update(&key, &record, &revision);
            let (written, took) = within(left, &shared, update).await;
            Answered::of(Answer::Written(written), took)
        }),
        Call::Delete(key) => Box::pin(async move {
            let (deleted, took) = within(left, &shared, shared.store.delete(&key)).await;
            Answered::of(Answer::Deleted(deleted), took)
        }),
        Call::Turn(key, attempt) => Box::pin(async move {
            let start = Instant::now();
            let turn = shared.queues.turn(&key, attempt, after(start, left)).await;
            Answered {
                answer: Answer::Turn,
                turn,
                took: start.elapsed(),
            }
        }),
    }
}

/// The answer to `call`, or that it came too late, and the time that it took.
async fn within<T>(
    left: Duration,
    shared: &Shared,
    call: impl Future<Output = Result<T>>,
) -> (Result<T>, Duration) {
    let start = Instant::now();
    let answer = timeout_at(after(start, left), call).await;
    let answer = answer.unwrap_or_else(|_| {
        Err(Error::Timeout {
            budget: shared.rules.settings.store_timeout,
        })
    });
    (answer, start.elapsed())
}

pub(crate) fn after(start: Instant, left: Duration) -> Instant {
    start.checked_add(left).unwrap_or(start + FOREVER)
}

impl Answered {
    fn of(answer: Answer, took: Duration) -> Self {
        Self {
            answer,
            turn: None,
            took,
        }
    }
}
