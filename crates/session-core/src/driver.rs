//! Runs a request's [`Machine`] over the store: one call at a time, within the request's store
//! time.
//!
//! No future owns a call that is under way: every caller that waits for the session polls it. So if
//! the application drops a `save`, or never polls it again, nothing is lost. The next caller that
//! waits continues where it stopped.

mod queues;
mod waiters;

use std::{
    cell::Cell,
    future::Future,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

pub(crate) use self::queues::Queues;
use self::{
    queues::{Stored, Turn},
    waiters::Waiters,
};
#[cfg(feature = "flask-cookie")]
use crate::flask::{LogOut, note_log_out};
use crate::{
    error::{Error, Result},
    header,
    key::StoreKey,
    machine::{Answer, Call, Goal, Inputs, Machine, Saved},
    measure::{self, Described, Operation, RequestResult},
    owned::{Owned, PATIENCE},
    record::{Loaded, Record, Revision, Write},
    rules::Presented,
    shared::Shared,
    short_list::ShortList,
};

/// Used instead of a time limit that is too large for the clock: a day.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// A request's session, its store calls, and the callers that wait for them.
pub(crate) struct Request {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// The number of the thread that holds the lock, or 0.
    holder: AtomicUsize,
    route: OnceLock<String>,
    /// Whether code of the application asked for the session.
    requested: AtomicBool,
    /// What it is counted by.
    pub(crate) result: RequestResult,
    unsaved: Unsaved,
}

/// The rest of a request's save, when its last handle was dropped.
pub type BackgroundSave = Pin<Box<dyn Future<Output = Result<Saved>> + Send>>;

/// What happens to unsaved changes of a session when its last handle is dropped.
#[derive(Clone, Copy)]
pub(crate) enum Unsaved {
    /// They are ignored: nobody expects them to be saved.
    Ignored,
    /// A warning counts them.
    Counted,
    /// The same, but a save that was begun, and a log-out, is passed to this function, which runs
    /// it to its end.
    Finished(fn(BackgroundSave)),
}

struct State {
    machine: Machine,
    /// The store time that is left.
    left: Duration,
    /// The time that is left for work on a user's sessions.
    work_left: Duration,
    under_way: Option<UnderWay>,
    /// Whether the call under way waits for a turn.
    waits_for_turn: bool,
    turn: Option<Turn>,
    /// The answer to the next call, if that is a load: it came with the turn.
    came_with_turn: Option<Box<Stored>>,
    waiters: Waiters,
}

/// A call under way.
type UnderWay = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// An answer, and the time it took.
struct Answered {
    answer: Answer,
    turn: Option<Turn>,
    came_with_turn: Option<Box<Stored>>,
    /// What the call stored, if the request has the turn.
    stored: Option<Box<Stored>>,
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

    /// Further work for this request. What is dropped unsaved is treated as in this one.
    #[cfg(feature = "flask-cookie")]
    pub(crate) fn beside(&self, machine: Machine) -> Self {
        let left = self.shared.rules.settings.store_timeout;
        Self::of(self.shared.clone(), State::new(machine, left), self.unsaved)
    }

    /// A request of a browser.
    pub(crate) fn of_request_session(shared: Arc<Shared>, unsaved: Unsaved) -> Self {
        let mut machine = Machine::new();
        if shared.rules.settings.rotation.is_some() {
            machine.arrived = Some(shared.now());
        }
        let budget = shared.rules.settings.store_timeout;
        Self::of(shared, State::new(machine, budget), unsaved)
    }

    fn of(shared: Arc<Shared>, state: State, unsaved: Unsaved) -> Self {
        Self {
            shared,
            state: Mutex::new(state),
            holder: AtomicUsize::new(0),
            route: OnceLock::new(),
            requested: AtomicBool::new(false),
            result: RequestResult::default(),
            unsaved,
        }
    }

    pub(crate) fn set_route(&self, route: String) {
        let _first = self.route.set(route);
    }

    pub(crate) fn mark_requested(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Does at once, at the end of a handler that was cut off, what the drop of the last handle
    /// does: a task may keep another handle.
    pub(crate) fn cut_off(self: &Arc<Self>) {
        let Ok(mut machine) = self.lock() else {
            return;
        };
        if machine.is_finishing() || machine.is_head_sent() {
            return;
        }
        let finish = self.unsaved.finish(&machine, self.route.get());
        machine.keep_background_save();
        drop(machine);
        if let Some(finish) = finish {
            finish(Box::pin(Drive::new(self.clone(), Aim::Reach(Goal::Save))));
        }
    }

    /// The machine.
    ///
    /// # Errors
    ///
    /// [`Error::Reentrant`] if this thread has locked it already: the closure of an `update` uses
    /// the session that it changes.
    pub(crate) fn lock(&self) -> Result<Locked<'_>> {
        let me = thread_number();
        if self.holder.load(Ordering::Relaxed) == me {
            REENTERED.set(true);
            return Err(Error::Reentrant);
        }
        // A panic in a closure of the application leaves a run; the next caller that waits ends it
        // with an error.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.holder.store(me, Ordering::Relaxed);
        Ok(Locked {
            state,
            request: self,
        })
    }
}

impl Unsaved {
    /// What runs the machine's background save to its end, if it has one. Warns of other changes.
    fn finish(self, machine: &Machine, route: Option<&String>) -> Option<fn(BackgroundSave)> {
        let finish = match self {
            _ if machine.is_finishing() => return None,
            Self::Ignored => return None,
            Self::Finished(finish) if machine.has_background_save() => Some(finish),
            Self::Counted | Self::Finished(_) => None,
        };
        let changes = machine.unsaved_changes(finish.is_some());
        if changes > 0 && machine.is_head_sent() {
            tracing::warn!(
                changes,
                route,
                "session changes made after the response's head are lost: in a stream, call save().await after the last one"
            );
        } else if changes > 0 {
            tracing::warn!(
                changes,
                route,
                "the client disconnected, or the handler panicked; the session changes of its request are not saved"
            );
        }
        finish
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let finish = self.unsaved.finish(&state.machine, self.route.get());
        if let Some(finish) = finish {
            state.machine.keep_background_save();
            let nothing = State::new(Machine::blank(), Duration::ZERO);
            let state = std::mem::replace(state, nothing);
            let rest = Self::of(self.shared.clone(), state, Unsaved::Ignored);
            finish(Box::pin(Drive::new(Arc::new(rest), Aim::Reach(Goal::Save))));
        }
    }
}

impl Locked<'_> {
    /// Limits the remaining store time to `most`.
    pub(crate) fn limit(&mut self, most: Duration) {
        self.state.left = self.state.left.min(most);
    }

    /// The time that is left for work on a user's sessions. After the head each call has the whole
    /// time.
    pub(crate) fn work_left(&self) -> Duration {
        if self.is_head_sent() {
            let budget = self.request.shared.rules.settings.store_timeout;
            budget.saturating_mul(PATIENCE)
        } else {
            self.state.work_left
        }
    }

    /// The store time that the request has left.
    #[cfg(feature = "flask-cookie")]
    pub(crate) fn time_left(&self) -> Duration {
        self.state.left
    }

    /// Takes `took` from the store time that is left.
    #[cfg(feature = "flask-cookie")]
    pub(crate) fn spend(&mut self, took: Duration) {
        self.state.left = self.state.left.saturating_sub(took);
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

/// A number that identifies this thread while it runs.
fn thread_number() -> usize {
    ANCHOR.with(|anchor| std::ptr::from_ref(anchor).addr())
}

/// Runs the application's `closure`, which must not use the locked session.
///
/// # Errors
///
/// [`Error::Reentrant`] if the closure used it, even through a method that cannot fail.
pub(crate) fn apart<T>(closure: impl FnOnce() -> T) -> Result<T> {
    let before = REENTERED.replace(false);
    let value = closure();
    let reentered = REENTERED.get();
    // If this runs within the closure of another session's `update`, that `update` must fail too.
    REENTERED.set(before || reentered);
    if reentered {
        Err(Error::Reentrant)
    } else {
        Ok(value)
    }
}

/// The goal of a [`Drive`].
pub(crate) enum Aim {
    /// Open the session of the first of these ids that is live.
    Open(ShortList<Presented>),
    Reach(Goal),
}

/// Waits until its goal is reached, and polls the store calls for it.
pub(crate) struct Drive {
    request: Arc<Request>,
    aim: Aim,
    /// The run that it began.
    run: Option<u64>,
    waiter: Option<u64>,
    /// The end of its time limit, if it waits for other callers of the request after the head,
    /// where each call has a limit of its own.
    end: Option<Pin<Box<Sleep>>>,
}

impl Aim {
    /// Begins the run that the goal needs, when no other run is under way. `None` if it needs none.
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
                // A stream may last for hours, so each of its calls has a time limit of its own.
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

    pub(crate) fn request(&self) -> &Arc<Request> {
        &self.request
    }

    /// As [`poll`](Future::poll), for a caller that has locked the request.
    pub(crate) fn poll_locked(
        &mut self,
        locked: &mut Locked<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Saved>> {
        let Self {
            request,
            aim,
            run,
            waiter,
            end,
        } = self;
        let shared = &request.shared;
        let state = &mut *locked.state;
        loop {
            if let Some(number) = *run {
                if let Some(result) = state.machine.take_result(number) {
                    *run = None;
                    state.waiters.remove(waiter.take());
                    return Poll::Ready(result);
                }
                // Its result was already returned at the end of the request.
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

impl Future for Drive {
    type Output = Result<Saved>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let request = self.request.clone();
        let mut locked = request.lock()?;
        self.poll_locked(&mut locked, context)
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
            waits_for_turn: false,
            turn: None,
            came_with_turn: None,
            waiters: Waiters::default(),
        }
    }

    /// A caller stops waiting, and another one continues with the call under way.
    fn leave(&mut self, waiter: Option<u64>) {
        self.waiters.remove(waiter);
        // If nobody waits, other requests must not wait for this one's turn, nor behind its place
        // in the queue. The call goes on without a turn.
        if self.waiters.is_empty() {
            self.turn = None;
            if self.waits_for_turn && self.under_way.is_some() {
                let no_turn = Answered::of(Answer::Turn, Duration::ZERO);
                self.under_way = Some(Box::pin(std::future::ready(no_turn)));
            }
        }
    }

    /// Continues the call under way, or begins the next one. Ready when the call was answered.
    fn advance(&mut self, shared: &Arc<Shared>, context: &mut Context<'_>) -> Poll<()> {
        if self.under_way.is_none() {
            let Some(call) = self.machine.next_call() else {
                self.machine.fail_run();
                return Poll::Ready(());
            };
            let came_with_turn = self.came_with_turn.take();
            if let (Call::Load(key), Some(stored)) = (&call, came_with_turn)
                && *key == stored.key
            {
                let answer = if stored.is_confirmed {
                    Answer::Loaded(Ok(Some(stored.record)))
                } else {
                    Answer::Unconfirmed(stored.record)
                };
                self.answer(shared, answer);
                return Poll::Ready(());
            }
            self.waits_for_turn = matches!(call, Call::Turn(..));
            if self.waits_for_turn {
                // A turn is released before another one is waited for.
                self.turn = None;
            }
            self.pass_turn_on(shared, &call);
            self.under_way = Some(self.call_store(shared, call));
        }
        let Some(under_way) = &mut self.under_way else {
            return Poll::Ready(());
        };
        let answered = std::task::ready!(under_way.as_mut().poll(context));
        self.under_way = None;
        self.left = self.left.saturating_sub(answered.took);
        if let Some(turn) = &mut self.turn {
            turn.leave(answered.stored);
        }
        if answered.turn.is_some() {
            self.turn = answered.turn;
            self.came_with_turn = answered.came_with_turn;
        }
        #[cfg(feature = "metrics")]
        if self.machine.is_refreshing() {
            measure::refreshed(&answered.answer);
        }
        self.answer(shared, answered.answer);
        Poll::Ready(())
    }

    /// Passes the request's turn on, if another request's write can follow that of `call` at once.
    /// That write names this record as the one that it replaces. So it is refused if this one is.
    fn pass_turn_on(&mut self, shared: &Shared, call: &Call) {
        if self.turn.is_some()
            && let Call::Update(key, record, _) = call
            && self.machine.others_can_write_behind()
            && header::tagged(&record.bytes).is_some()
            && let Some(revision) = shared.store.next_revision(record)
            && let Some(turn) = self.turn.take()
        {
            self.turn = turn.pass_on_early(|| Stored {
                key: key.clone(),
                record: Loaded {
                    bytes: record.bytes.clone(),
                    revision,
                    expires_at: None,
                },
                since: Instant::now(),
                is_confirmed: false,
            });
        }
    }

    fn call_store(&self, shared: &Arc<Shared>, call: Call) -> UnderWay {
        let has_turn = self.turn.is_some();
        #[cfg(feature = "flask-cookie")]
        if shared.rules.settings.flask.cookie.is_some()
            && let Some(log_out) = self.machine.log_out_to_note()
        {
            return noted_before(shared.clone(), log_out, call, self.left, has_turn);
        }
        call_store(shared.clone(), call, self.left, has_turn)
    }

    fn answer(&mut self, shared: &Shared, answer: Answer) {
        let machine = &mut self.machine;
        with_inputs(shared, |inputs| {
            machine.answer(answer, inputs);
            machine.replay_unsaved(inputs.rules, inputs.now);
        });
        if !self.machine.is_running() {
            self.turn = None;
        }
    }
}

/// Calls `with` with the inputs of a machine: rules, time, randomness and the queues.
fn with_inputs<T>(shared: &Shared, with: impl FnOnce(&mut Inputs<'_>) -> T) -> T {
    with(&mut Inputs {
        rules: &shared.rules,
        now: shared.now(),
        random: &mut |bytes| {
            getrandom::fill(bytes).expect("the operating system gives random numbers");
        },
        is_busy: &|key| shared.queues.is_busy(key),
    })
}

/// Carries out `call` within `left`.
fn call_store(shared: Arc<Shared>, call: Call, left: Duration, has_turn: bool) -> UnderWay {
    // Each kind of call has a future of its own, so that the small ones stay small.
    match call {
        Call::Load(key) => Box::pin(async move {
            let load = shared.store.load(&key);
            let (loaded, took) = measured(Operation::Load, left, &shared, load).await;
            Answered::of(Answer::Loaded(loaded), took)
        }),
        Call::Insert(key, record) => Box::pin(async move {
            let insert = shared.store.insert(&key, &record);
            let (written, took) = measured(Operation::Insert, left, &shared, insert).await;
            Answered::of(Answer::Written(written), took)
        }),
        Call::Update(key, record, revision) if has_turn => Box::pin(async move {
            let since = Instant::now();
            let mut answered = update(left, &shared, &key, &record, &revision).await;
            if let Answer::Written(Ok(Write::Stored(revision))) = &answered.answer {
                let record = Loaded {
                    bytes: record.bytes,
                    revision: revision.clone(),
                    expires_at: None,
                };
                answered.stored = Some(Box::new(Stored {
                    key,
                    record,
                    since,
                    is_confirmed: true,
                }));
            }
            answered
        }),
        Call::Update(key, record, revision) => {
            Box::pin(async move { update(left, &shared, &key, &record, &revision).await })
        }
        Call::Delete(key) => Box::pin(async move {
            let delete = shared.store.delete(&key);
            let (deleted, took) = measured(Operation::Delete, left, &shared, delete).await;
            Answered::of(Answer::Deleted(deleted), took)
        }),
        Call::Admit(login) => Box::pin(async move {
            let admit = async { Owned::of(&shared)?.admit(&login).await };
            let (admitted, took) = within(left, &shared, admit).await;
            Answered::of(Answer::Admitted(admitted), took)
        }),
        Call::EndCopies(owner, lineage) => Box::pin(async move {
            let end = async { Owned::of(&shared)?.end_copies(&owner, lineage).await };
            let (ended, took) = within(left, &shared, end).await;
            Answered::of(Answer::Deleted(ended), took)
        }),
        Call::Turn(key, attempt, rebases) => Box::pin(async move {
            let start = Instant::now();
            let end = after(start, left);
            let turn = shared.queues.turn(&key, attempt, rebases, end);
            let (turn, came_with_turn) = turn.await;
            Answered {
                turn,
                came_with_turn,
                ..Answered::of(Answer::Turn, start.elapsed())
            }
        }),
    }
}

/// Carries out the `call` that stores a log-out, after the store has noted it. A log-out that cannot
/// be noted is not carried out.
#[cfg(feature = "flask-cookie")]
fn noted_before(
    shared: Arc<Shared>,
    log_out: LogOut,
    call: Call,
    left: Duration,
    has_turn: bool,
) -> UnderWay {
    Box::pin(async move {
        let (noted, took) = within(left, &shared, note_log_out(&shared, log_out)).await;
        if let Err(error) = noted {
            return Answered::of(Answer::Written(Err(error)), took);
        }
        let answered = call_store(shared, call, left.saturating_sub(took), has_turn).await;
        Answered {
            took: took + answered.took,
            ..answered
        }
    })
}

async fn update(
    left: Duration,
    shared: &Shared,
    key: &StoreKey,
    record: &Record,
    revision: &Revision,
) -> Answered {
    let update = shared.store.update(key, record, revision);
    let (written, took) = measured(Operation::Update, left, shared, update).await;
    Answered::of(Answer::Written(written), took)
}

/// As [`within`], for one call of the store.
async fn measured<T: Described>(
    operation: Operation,
    left: Duration,
    shared: &Shared,
    call: impl Future<Output = Result<T>>,
) -> (Result<T>, Duration) {
    let _counted = shared.metrics.begin_call(&*shared.store);
    let (answer, took) = within(left, shared, measure::spanned(operation, call)).await;
    shared.metrics.store_call(operation, took, &answer);
    (answer, took)
}

/// The answer to `call`, or a timeout error, and the time that it took.
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
            came_with_turn: None,
            stored: None,
            took,
        }
    }
}
