//! One request's session as a state machine: the application's calls and the store's answers go in, calls to the store
//! and results come out.
//!
//! It does no I/O, waits for nothing and reads no clock: what it needs from outside is in [`Given`]. `table.rs` says
//! which state follows from which event; here stands what a state asks the store for, and which event an answer is.

pub(crate) mod table;

use std::{fmt, mem::take, sync::Arc};

use self::table::{Event, Next, Outcome, State, holds};
use crate::{
    codec::{Form, Times},
    content::Content,
    error::{Error, Result},
    expiry::Millis,
    id::SessionId,
    key::StoreKey,
    op::{Op, replay},
    record::{Loaded, Record, Revision, Write},
    rules::{Found, Live, Presented, Rules},
};

/// How often a change is tried on fresher data; the request's budget of store time mostly ends it earlier.
const ATTEMPTS: usize = 100;

/// What the machine is given from outside.
pub(crate) struct Given<'g> {
    pub(crate) rules: &'g Rules,
    pub(crate) now: Millis,
    /// Fills its argument with random bytes.
    pub(crate) random: &'g mut dyn FnMut(&mut [u8]),
    /// Whether other requests of this process wait for their turn at the key.
    pub(crate) others_wait: &'g dyn Fn(&StoreKey) -> bool,
}

/// What the store is to do, or what is to be waited for.
#[derive(Debug)]
pub(crate) enum Call {
    Load(StoreKey),
    Insert(StoreKey, Record),
    Update(StoreKey, Record, Revision),
    Delete(StoreKey),
    /// The request's turn at the key, after so many tries.
    Turn(StoreKey, usize),
}

/// What became of a [`Call`].
#[derive(Debug)]
pub(crate) enum Answer {
    Loaded(Result<Option<Loaded>>),
    Written(Result<Write>),
    Deleted(Result<()>),
    Turn,
}

/// What a save did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a session that ended meanwhile kept nothing"]
pub enum Saved {
    /// The changes are in the store.
    Stored,
    /// There was nothing to save.
    Unchanged,
    /// The session was ended by another request, or is another user's by now; the changes were dropped.
    Ended,
}

/// What is asked of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Stores what changed so far.
    Save,
    /// The same, and moves the expiry of what did not change, if that is due; then the head is sent.
    Finish,
    /// Loads what is stored now.
    Reload,
}

/// Where a request's session comes from, and so what becomes of its changes.
#[derive(Debug)]
enum Origin {
    /// Its record was not loaded yet.
    Unopened,
    /// No record: the first change makes one.
    New,
    Live(Box<Live>),
    /// The request came with an id that was renewed.
    Late(StoreKey, Form),
    /// The request came with the id of a record that cannot be read.
    Damaged(StoreKey, Form),
    /// It was live when the request loaded it, and has ended since.
    Ended,
    /// It could not be loaded, and counts as empty.
    Detached,
}

/// A session that is to end before anything else is done.
#[derive(Debug)]
enum Ending {
    Live(Box<Live>),
    Unseen(StoreKey, Form),
    /// It could not be loaded, so nobody can say that it is ended.
    NotLoaded,
}

/// Which sessions may be ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Only this owner's.
    pub(crate) owner: Option<Arc<str>>,
    /// Not the one of this lineage.
    pub(crate) keep: Option<[u8; 16]>,
}

/// What the answer's head is to say of the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    Nothing,
    /// The id of the session's record.
    Id,
    /// The same; nobody has it yet, so no other request can have renewed it.
    NewId,
    Removal,
}

/// One request's session.
#[derive(Debug)]
pub(crate) struct Machine {
    origin: Origin,
    /// The session with every change made, if there are any.
    view: Option<Content>,
    /// The changes that no save has begun to store.
    ops: Vec<Op>,
    renew: bool,
    extend: bool,
    ending: Option<Ending>,
    terms: Terms,
    pending: Pending,
    head_sent: bool,
    /// The outcome of a write is unknown: nothing may be reported as saved any more.
    failed: bool,
    /// A write of this request moved the expiry: there is nothing left to refresh.
    moved: bool,
    /// Whether it was this machine that ended a session.
    ended: bool,
    /// Whether it had to do with a session that a user is logged in to.
    had_owner: bool,
    run: Option<Run>,
    last_run: u64,
    /// The result of the last run, until somebody fetches it.
    result: Option<(u64, Result<Saved>)>,
    /// Those of earlier runs, where several wait at once.
    results: Vec<(u64, Result<Saved>)>,
    /// An error that its run could tell nobody, because the future that waited for it was dropped.
    untold: Option<Error>,
}

/// A piece of work that takes calls of the store.
struct Run {
    number: u64,
    /// Whether somebody waits for its result.
    awaited: bool,
    goal: Goal,
    state: State,
    /// What follows a turn.
    queued_for: State,
    attempts: usize,
    call: Option<Call>,
    /// What is to be stored.
    ops: Vec<Op>,
    renew: bool,
    extend: bool,
    /// Whose session it was when the request loaded it.
    owner: Option<Arc<str>>,
    /// What the present step is about: the record as it was last seen.
    live: Option<Box<Live>>,
    /// The key that is being looked at.
    key: Option<(StoreKey, Form)>,
    /// The record being written, as it is once it is stored.
    written: Option<Box<Live>>,
    /// The tombstone of a renewal, for its second try.
    tombstone: Option<Box<Record>>,
    candidates: Vec<Presented>,
    candidate: Option<Presented>,
    /// A presented id that was renewed, while others are tried.
    late: Option<(StoreKey, Form)>,
    error: Option<Error>,
    sends_cookie: bool,
    /// The record was loaded again.
    rebased: bool,
    /// The session was destroyed while this run was under way: what comes of it is to end.
    destroyed: bool,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            origin: Origin::Unopened,
            view: None,
            ops: Vec::new(),
            renew: false,
            extend: false,
            ending: None,
            terms: Terms::default(),
            pending: Pending::Nothing,
            head_sent: false,
            failed: false,
            moved: false,
            ended: false,
            had_owner: false,
            run: None,
            last_run: 0,
            result: None,
            results: Vec::new(),
            untold: None,
        }
    }

    /// A machine whose session has no record yet.
    pub(crate) fn blank() -> Self {
        Self {
            origin: Origin::New,
            ..Self::new()
        }
    }

    /// A machine that ends the session under `key` when it is saved, if `terms` allow it.
    pub(crate) fn ending(key: StoreKey, form: Form, terms: Terms) -> Self {
        Self {
            ending: Some(Ending::Unseen(key, form)),
            terms,
            ..Self::blank()
        }
    }

    // What the application sees.

    /// The session with every change made.
    pub(crate) fn view<'m>(&'m self, rules: &'m Rules) -> &'m Content {
        self.view.as_ref().unwrap_or_else(|| self.base(rules))
    }

    /// The record as it was last seen.
    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.origin {
            Origin::Live(live) => Some(live),
            _ => None,
        }
    }

    /// Whether the answer may show what belongs to a user, who may have logged out since.
    pub(crate) fn had_owner(&self, rules: &Rules) -> bool {
        self.had_owner || self.view(rules).owner.is_some()
    }

    pub(crate) fn is_opened(&self) -> bool {
        !matches!(self.origin, Origin::Unopened)
    }

    pub(crate) fn is_late(&self) -> bool {
        matches!(self.origin, Origin::Late(..))
    }

    /// Whether another request is known to have ended it.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.origin, Origin::Ended)
    }

    pub(crate) fn is_head_sent(&self) -> bool {
        self.head_sent
    }

    /// Whether the store could not tell what the session holds.
    pub(crate) fn is_detached(&self) -> bool {
        matches!(self.origin, Origin::Detached)
    }

    /// The id that the request presented and that was renewed, or that of a session of this request's.
    pub(crate) fn key(&self) -> Option<(&StoreKey, Form)> {
        match &self.origin {
            Origin::Live(live) => Some((&live.key, live.form)),
            Origin::Late(key, form) => Some((key, *form)),
            _ => None,
        }
    }

    /// Whether it was this machine that ended a session.
    pub(crate) fn has_ended_one(&self) -> bool {
        self.ended
    }

    /// Whether something is still to be saved.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.ops.is_empty() || self.renew || self.extend || self.ending.is_some()
    }

    /// What no save has stored, of a request whose answer was sent: the changes, a renewal, a log-out.
    pub(crate) fn lost(&self) -> usize {
        let under_way = self.run.as_ref().map_or(0, |run| run.ops.len());
        let waiting = usize::from(self.renew) + usize::from(self.ending.is_some());
        if self.head_sent {
            self.ops.len() + under_way + waiting
        } else {
            0
        }
    }

    /// Whether the end of the request needs nothing of the store.
    pub(crate) fn is_settled(&self, rules: &Rules, now: Millis) -> bool {
        let idle = self.run.is_none() && self.untold.is_none() && !self.failed;
        idle && !self.is_dirty() && !self.sends_id() && self.refreshable(rules, now).is_none()
    }

    /// The value of the `Set-Cookie` header that the session needs so far.
    pub(crate) fn cookie(&self, rules: &Rules, now: Millis) -> Option<String> {
        match self.pending {
            Pending::Nothing => None,
            Pending::Removal => Some(rules.removal()),
            Pending::Id | Pending::NewId => rules.set_cookie(self.live()?, now),
        }
    }

    // What the application does.

    /// Makes a change and records it, so that it can be made again on fresher data.
    ///
    /// # Errors
    ///
    /// If the change cannot be made; nothing is recorded then.
    pub(crate) fn change(&mut self, op: Op, rules: &Rules, now: Millis) -> Result<()> {
        if let Op::LogIn(_) = &op {
            match self.origin {
                Origin::Ended => return Err(Error::Conflict),
                Origin::Detached => return Err(Error::NotLoaded),
                _ => {}
            }
        }
        let format = rules.settings.format;
        // What is stored already needs no write. After other changes it may not be what a replay finds.
        let untouched = self.ops.is_empty() && self.run.is_none();
        if let Origin::Live(live) = &self.origin
            && untouched
            && op.is_done_in(&live.content, format)
        {
            return Ok(());
        }
        let base = self.view.is_none().then(|| self.base(rules).clone());
        // A change that fails, or a closure that panics, leaves the view as it was.
        let view = self.view.get_or_insert_with(|| base.unwrap_or_default());
        op.apply(view, now, format)?;
        if let Origin::Live(live) = &self.origin
            && untouched
            && let Op::Update(key, _) = &op
            && live.content.payload.value(key) == view.payload.value(key)
        {
            return Ok(());
        }
        self.ops.push(op);
        Ok(())
    }

    pub(crate) fn renew(&mut self) {
        self.renew = true;
    }

    /// Moves the expiry with the next save, whether that is due or not.
    pub(crate) fn extend(&mut self) {
        let may_go_on = matches!(self.origin, Origin::Live(_) | Origin::Detached);
        self.extend = may_go_on || self.run.is_some();
    }

    /// Ends the session: the data is gone at once, and from the store with the next save.
    pub(crate) fn destroy(&mut self, rules: &Rules) {
        self.view = None;
        if let Some(run) = &mut self.run {
            run.destroyed = true;
            self.view = Some(rules.blank.clone());
        } else {
            self.destroy_origin();
        }
        self.ops.clear();
        self.renew = false;
        self.extend = false;
    }

    fn destroy_origin(&mut self) {
        let origin = std::mem::replace(&mut self.origin, Origin::New);
        let ending = match origin {
            Origin::Live(live) => Some(Ending::Live(live)),
            Origin::Late(key, form) | Origin::Damaged(key, form) => Some(Ending::Unseen(key, form)),
            Origin::Detached => {
                self.origin = Origin::Detached;
                Some(Ending::NotLoaded)
            }
            Origin::Unopened | Origin::New | Origin::Ended => None,
        };
        match ending {
            Some(ending) => self.ending = Some(ending),
            // One with a record keeps its cookie until its end is confirmed.
            None if self.ending.is_none() => self.pending = Pending::Removal,
            None => {}
        }
    }

    /// From now on no cookie can be set.
    pub(crate) fn close_head(&mut self) {
        self.head_sent = true;
    }

    /// Goes on with an empty session of which nothing is written, because none could be loaded.
    pub(crate) fn detach(&mut self) {
        self.origin = Origin::Detached;
    }

    // What is done in the store.

    /// Loads the session of the first of `candidates` that is live.
    pub(crate) fn open(&mut self, mut candidates: Vec<Presented>, given: &mut Given<'_>) -> u64 {
        candidates.reverse();
        let number = self.start(Goal::Reload, |run| {
            run.state = State::Opening;
            run.candidates = candidates;
        });
        if self.run.as_ref().is_some_and(|it| it.candidates.is_empty()) {
            self.origin = Origin::New;
            self.end_run(Ok(Saved::Unchanged));
        } else {
            self.enter(State::Opening, given);
        }
        number
    }

    /// Begins what `goal` says, and gives the number to fetch the result with. Only while nothing is under way.
    pub(crate) fn begin(&mut self, goal: Goal, given: &mut Given<'_>) -> u64 {
        let ops = if goal == Goal::Reload {
            Vec::new()
        } else {
            take(&mut self.ops)
        };
        let (renew, extend) = match goal {
            Goal::Reload => (false, false),
            _ => (take(&mut self.renew), take(&mut self.extend)),
        };
        let number = self.start(goal, |run| {
            run.ops = ops;
            run.renew = renew;
            run.extend = extend;
        });
        if let Some(error) = self.untold.take() {
            self.end_run(Err(error));
        } else if self.failed && goal != Goal::Reload {
            self.end_run(Err(Error::Unknown));
        } else {
            self.plan(given);
        }
        number
    }

    fn start(&mut self, goal: Goal, prepare: impl FnOnce(&mut Run)) -> u64 {
        debug_assert!(self.run.is_none(), "one run at a time");
        self.last_run += 1;
        let mut run = Run::new(self.last_run, goal);
        run.owner = self.live().and_then(|live| live.content.owner.clone());
        prepare(&mut run);
        self.run = Some(run);
        self.last_run
    }

    /// Whether a run is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// What the store is to do next, once.
    pub(crate) fn next_call(&mut self) -> Option<Call> {
        self.run.as_mut()?.call.take()
    }

    /// The result of the run `number`, once it is over.
    pub(crate) fn result(&mut self, number: u64) -> Option<Result<Saved>> {
        if let Some((_, result)) = self.result.take_if(|(of, _)| *of == number) {
            return Some(result);
        }
        let place = self.results.iter().position(|(of, _)| *of == number)?;
        Some(self.results.swap_remove(place).1)
    }

    /// Nobody waits for the result of the run `number` any more: what failed is told by the next.
    pub(crate) fn abandon(&mut self, number: u64) {
        match self.result(number) {
            Some(Err(error)) => self.untold = Some(error),
            Some(Ok(_)) => {}
            None => {
                if let Some(run) = self.run.as_mut().filter(|run| run.number == number) {
                    run.awaited = false;
                    if !holds!(DroppedSaveGoesOn) {
                        self.run = None;
                    }
                }
            }
        }
    }

    /// A run that can go nowhere, because the application's code panicked in it.
    pub(crate) fn fail_run(&mut self) {
        if let Some(run) = &mut self.run {
            run.error = Some(Error::Unknown);
        }
        self.finish(Outcome::Failed, None);
    }

    /// Goes on with the answer to the last call.
    pub(crate) fn answer(&mut self, answer: Answer, given: &mut Given<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let event = match answer {
            Answer::Loaded(loaded) => match loaded {
                Ok(loaded) => self.seen(loaded, given),
                Err(error @ Error::Corrupt { .. }) => self.unreadable(error),
                Err(error) => {
                    run.error = Some(error);
                    Event::Failed
                }
            },
            Answer::Written(Ok(Write::Stored(revision))) => {
                let empties = run.writes_nil();
                if let Some(written) = &mut run.written
                    && !matches!(run.state, State::Forwarding | State::Reforwarding)
                {
                    written.revision = revision;
                }
                if empties {
                    Event::StoredNil
                } else {
                    Event::Stored
                }
            }
            // Flask's nil does not say who wrote it: most likely the first try did.
            Answer::Written(Ok(Write::Refused))
                if run.state == State::Reforwarding && run.is_of_flask() =>
            {
                Event::Failed
            }
            Answer::Written(Ok(Write::Refused)) => Event::Refused,
            Answer::Written(Err(error)) => {
                run.error = Some(error);
                Event::Failed
            }
            Answer::Deleted(deleted) => {
                if let Err(error) = deleted {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "an unused record stays until it expires"
                    );
                }
                Event::Deleted
            }
            Answer::Turn => {
                let state = run.queued_for;
                table::count(State::Queued, Event::Turn);
                self.enter(state, given);
                return;
            }
        };
        self.follow(event, given);
    }

    /// Does what the table says.
    fn follow(&mut self, event: Event, given: &mut Given<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let Some(next) = table::next(run.state, event) else {
            debug_assert!(false, "{event:?} in {:?}", run.state);
            run.error = Some(Error::Unknown);
            self.finish(Outcome::Failed, None);
            return;
        };
        table::count(run.state, event);
        match next {
            Next::Go(state) => self.enter(state, given),
            Next::Queue(state) => {
                run.attempts += 1;
                run.queued_for = state;
                let key = match (&run.key, &run.live) {
                    (Some((key, _)), _) => key.clone(),
                    (None, Some(live)) => live.key.clone(),
                    (None, None) => return self.enter(state, given),
                };
                run.state = State::Queued;
                run.call = Some(Call::Turn(key, run.attempts));
            }
            Next::Again => {
                if matches!(run.state, State::Ending | State::DeletingEnded) {
                    self.ended = true;
                }
                run.state = State::Idle;
                run.live = None;
                run.key = None;
                self.ending = None;
                self.pending = Pending::Removal;
                self.plan(given);
            }
            Next::Done(outcome) => self.finish(outcome, Some(given)),
        }
    }

    /// Finds out what is to be done.
    fn plan(&mut self, given: &mut Given<'_>) {
        let event = self.wish(given);
        self.follow(event, given);
    }

    fn wish(&mut self, given: &Given<'_>) -> Event {
        let rules = given.rules;
        let refresh = self.refreshable(rules, given.now).is_some();
        let view_is_empty = self.view(rules).is_empty();
        let (head_sent, sends_id) = (self.head_sent, self.sends_id());
        let Some(run) = &mut self.run else {
            return Event::NothingToDo;
        };
        let ending = if run.goal == Goal::Reload {
            None
        } else {
            self.ending.take()
        };
        match ending {
            Some(Ending::Live(live)) => {
                run.key = Some((live.key.clone(), live.form));
                run.live = Some(live);
                return Event::EndsLive;
            }
            Some(Ending::Unseen(key, form)) => {
                run.key = Some((key, form));
                return Event::EndsUnseen;
            }
            Some(Ending::NotLoaded) => {
                self.ending = Some(Ending::NotLoaded);
                return Event::ChangesUnknown;
            }
            None => {}
        }
        let login = Op::login(&run.ops).is_some();
        let changes = !run.ops.is_empty();
        match &self.origin {
            Origin::Unopened => Event::NothingToDo,
            Origin::Detached if changes || run.renew || run.extend => Event::ChangesUnknown,
            Origin::Late(..) if changes && !login => Event::ArrivedLate,
            Origin::Ended if changes => Event::ChangesEnded,
            Origin::New | Origin::Damaged(..) | Origin::Late(..)
                if run.goal != Goal::Reload && changes && !view_is_empty =>
            {
                if head_sent {
                    Event::AfterHead
                } else {
                    Event::HasData
                }
            }
            Origin::Live(live) if run.goal == Goal::Reload => {
                run.key = Some((live.key.clone(), live.form));
                Event::WantsReload
            }
            Origin::Live(_) if run.renew || (login && holds!(LoginRenews)) => {
                if head_sent {
                    return Event::AfterHead;
                }
                Event::Renews
            }
            Origin::Live(live) if changes || run.extend => {
                let sends_ids = !head_sent || !holds!(MovesBeforeTheHead);
                if rules.next_form(live.form) != live.form && changes && sends_ids {
                    Event::Renews
                } else if (given.others_wait)(&live.key) {
                    run.key = Some((live.key.clone(), live.form));
                    Event::HasChangesInQueue
                } else {
                    Event::HasChanges
                }
            }
            Origin::Live(_) if run.goal == Goal::Finish && refresh => Event::RefreshDue,
            Origin::Live(live) if run.goal == Goal::Finish && sends_id => {
                run.key = Some((live.key.clone(), live.form));
                Event::CookiePending
            }
            _ => Event::NothingToDo,
        }
    }

    /// The session whose expiry is to be moved, if that is due.
    fn refreshable(&self, rules: &Rules, now: Millis) -> Option<&Live> {
        self.live().filter(|live| {
            !self.moved
                && live.id.is_some()
                && !rules.is_over(live, &live.content, now)
                && rules.refresh_due(live, now)
        })
    }

    /// Takes up `state`: asks the store for what it needs.
    fn enter(&mut self, state: State, given: &mut Given<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        run.state = state;
        run.attempts += usize::from(run.call_count_grows(state));
        if run.attempts > ATTEMPTS {
            run.error = Some(Error::Contended);
            return self.finish(Outcome::Failed, None);
        }
        let call = match state {
            State::Opening => run.next_candidate(),
            State::Reloading
            | State::Rebasing
            | State::Rechecking
            | State::Verifying
            | State::Finding => run.key.as_ref().map(|(key, _)| Call::Load(key.clone())),
            State::Checking => run.live.as_ref().map(|live| Call::Load(live.key.clone())),
            State::Inserting => return self.enter_inserting(given),
            State::Copying => return self.enter_copying(given),
            State::Updating => return self.enter_updating(given),
            State::Refreshing => return self.enter_refreshing(given),
            State::Forwarding => return self.enter_forwarding(given),
            State::Reforwarding => run.reforward(),
            State::Ending => run.live.as_ref().map(|live| {
                let tombstone = given
                    .rules
                    .tombstone(live, None, given.now, tag(given.random));
                Call::Update(live.key.clone(), tombstone, live.revision.clone())
            }),
            State::DeletingRenewed | State::DeletingEnded | State::DeletingEmptied => {
                run.live.as_ref().map(|live| Call::Delete(live.key.clone()))
            }
            State::DiscardingCopy | State::DiscardingLoser => {
                run.written.take().map(|new| Call::Delete(new.key))
            }
            State::Idle | State::Queued => None,
        };
        run.call = call;
        if run.call.is_none() {
            debug_assert!(false, "{state:?} without what it is about");
            self.fail_run();
        }
    }

    fn enter_inserting(&mut self, given: &mut Given<'_>) {
        let form = given.rules.form();
        match self.changed(None, given) {
            Ok(content) => self.insert(form, content, given),
            Err(error) => self.end_run(Err(error)),
        }
    }

    fn enter_copying(&mut self, given: &mut Given<'_>) {
        let Some(live) = self.source() else {
            return self.fail_run();
        };
        let form = given.rules.next_form(live.form);
        match self.changed_in_time(&live, given) {
            Ok(content) => {
                if let Some(run) = &mut self.run {
                    run.live = Some(live);
                }
                self.insert(form, content, given);
            }
            Err(error) => self.end_run(Err(error)),
        }
    }

    /// Inserts `content` under a fresh id, never over another's record.
    fn insert(&mut self, form: Form, mut content: Content, given: &mut Given<'_>) {
        let rules = given.rules;
        note(form, &mut content, given);
        let id = SessionId::filled(rules.settings.id_bytes, |bytes| (given.random)(bytes));
        let key = rules.key_of(form, &id);
        let before = Times::default();
        let times = rules.times(form, &content, &before, true, given.now);
        let record = rules.record(
            &key,
            form,
            &content,
            &times,
            &before,
            tag(given.random),
            None,
        );
        let Some(run) = &mut self.run else { return };
        match record {
            Ok(record) => {
                run.sends_cookie = true;
                run.written = Some(Box::new(Live {
                    key: key.clone(),
                    form,
                    id: Some(id),
                    content,
                    times,
                    encoded: rules.codec(form).payload_in(&record.bytes),
                    revision: Revision::new(record.bytes.clone()),
                    outdated: false,
                }));
                run.call = Some(Call::Insert(key, record));
            }
            Err(error) => self.end_run(Err(error)),
        }
    }

    fn enter_updating(&mut self, given: &mut Given<'_>) {
        let Some(live) = self.source() else {
            return self.fail_run();
        };
        let content = match self.changed_in_time(&live, given) {
            Ok(content) => content,
            Err(error) => return self.end_run(Err(error)),
        };
        let emptied = live.form == Form::Flask && content.is_empty();
        let sends_cookie = live.id.is_some()
            && !self.head_sent
            && given.rules.cookie_due(&live, &content, given.now);
        if emptied {
            let record = given.rules.nil(given.now);
            let Some(run) = &mut self.run else { return };
            run.call = Some(Call::Update(
                live.key.clone(),
                record,
                live.revision.clone(),
            ));
            run.written = None;
            run.live = Some(live);
        } else {
            self.write(live, content, sends_cookie, given);
        }
    }

    fn enter_refreshing(&mut self, given: &mut Given<'_>) {
        let Some(live) = self.source() else {
            return self.fail_run();
        };
        let content = live.content.clone();
        let sends_cookie = live.id.is_some()
            && !self.head_sent
            && given.rules.refresh_sends_cookie(&live, given.now);
        self.write(live, content, sends_cookie, given);
    }

    /// Replaces the record of `live` by one of `content`.
    fn write(
        &mut self,
        live: Box<Live>,
        mut content: Content,
        sends_cookie: bool,
        given: &mut Given<'_>,
    ) {
        let rules = given.rules;
        note(live.form, &mut content, given);
        let times = rules.times(live.form, &content, &live.times, sends_cookie, given.now);
        let unchanged = self.run.as_ref().is_some_and(|run| run.ops.is_empty())
            && content.created_at == live.content.created_at;
        let record = rules.record(
            &live.key,
            live.form,
            &content,
            &times,
            &live.times,
            tag(given.random),
            unchanged.then_some(&live.encoded),
        );
        let Some(run) = &mut self.run else { return };
        match record {
            Ok(record) => {
                run.sends_cookie = sends_cookie;
                run.written = Some(Box::new(Live {
                    key: live.key.clone(),
                    form: live.form,
                    id: live.id.clone(),
                    content,
                    times,
                    encoded: rules.codec(live.form).payload_in(&record.bytes),
                    revision: Revision::new(record.bytes.clone()),
                    outdated: live.outdated && !sends_cookie,
                }));
                run.call = Some(Call::Update(
                    live.key.clone(),
                    record,
                    live.revision.clone(),
                ));
                run.live = Some(live);
            }
            Err(_) if run.state == State::Refreshing => {
                self.follow(Event::Failed, given);
            }
            Err(error) => self.end_run(Err(error)),
        }
    }

    fn enter_forwarding(&mut self, given: &mut Given<'_>) {
        let Some(run) = &mut self.run else { return };
        let (Some(live), Some(new)) = (&run.live, &run.written) else {
            return self.fail_run();
        };
        let tombstone = given
            .rules
            .tombstone(live, Some(&new.key), given.now, tag(given.random));
        run.tombstone = Some(Box::new(tombstone));
        run.call = run.reforward();
    }

    /// The record that a write replaces: the one last seen, at first the request's own.
    fn source(&mut self) -> Option<Box<Live>> {
        let run = self.run.as_mut()?;
        let live = run.live.take().or_else(|| match &self.origin {
            Origin::Live(live) => Some(live.clone()),
            _ => None,
        })?;
        run.key = Some((live.key.clone(), live.form));
        Some(live)
    }

    /// What the request's changes make of the record `live`, or of a new session.
    fn changed(&self, live: Option<&Live>, given: &Given<'_>) -> Result<Content> {
        let Some(run) = &self.run else {
            return Err(Error::Unknown);
        };
        // Until a fresher record was seen, and no change came since, the request's own view is just that.
        if (!run.rebased || !holds!(ChangesAreReplayed))
            && self.ops.is_empty()
            && let Some(view) = &self.view
        {
            return Ok(view.clone());
        }
        let base = live.map_or(&given.rules.blank, |live| &live.content);
        replay(base, &run.ops, given.now, given.rules.settings.format)
    }

    /// The same, unless the session has ended by time.
    fn changed_in_time(&self, live: &Live, given: &Given<'_>) -> Result<Content> {
        let content = self.changed(Some(live), given)?;
        if given.rules.is_over(live, &content, given.now) {
            return Err(Error::Expired);
        }
        Ok(content)
    }

    /// Which event it is that a load gave `loaded`.
    fn seen(&mut self, loaded: Option<Loaded>, given: &Given<'_>) -> Event {
        let Some(run) = &mut self.run else {
            return Event::Failed;
        };
        let (key, form) = match (run.state, &run.candidate, &run.key, &run.live) {
            (State::Opening, Some(candidate), ..) => (candidate.key.clone(), candidate.form),
            (State::Checking, _, _, Some(live)) => (live.key.clone(), live.form),
            (_, _, Some((key, form)), _) => (key.clone(), *form),
            _ => return Event::Failed,
        };
        let found = given.rules.read(&key, form, loaded);
        if run.state == State::Opening {
            return self.presented(found, given);
        }
        match found {
            Found::Live(live) => self.found_live(live, given),
            Found::Forwarded(successor, _) => {
                if run.state == State::Checking
                    && run.written.as_ref().is_some_and(|new| new.key == successor)
                {
                    return Event::ForwardedToOurs;
                }
                run.key = Some((successor, form));
                Event::Forwarded
            }
            // Flask's form has no tombstones: absence is how a session ends.
            Found::Absent if run.state == State::Finding && !Rules::keeps_tombstones(form) => {
                Event::Ended
            }
            Found::Ended | Found::Absent => {
                let ended = matches!(found, Found::Ended);
                if run.state == State::Checking {
                    run.key = Some((key, form));
                }
                if ended { Event::Ended } else { Event::Absent }
            }
            Found::Unreadable(error) => {
                run.error = Some(error);
                Event::Unreadable
            }
        }
    }

    fn found_live(&mut self, mut live: Box<Live>, given: &Given<'_>) -> Event {
        let Some(run) = &mut self.run else {
            return Event::Failed;
        };
        // The id that the request knows still opens the record.
        let known = match (&run.live, &self.origin) {
            (Some(before), _) if before.key == live.key => Some(before),
            (_, Origin::Live(before)) if before.key == live.key => Some(before),
            _ => None,
        };
        if let Some(before) = known {
            live.id.clone_from(&before.id);
            live.outdated = before.outdated;
        }
        let event = match run.state {
            State::Finding => {
                let owner = live.content.owner.as_ref();
                let kept = self.terms.keep.is_some() && live.content.lineage == self.terms.keep;
                let owned = self.terms.owner.is_none() || owner == self.terms.owner.as_ref();
                if owned && !kept {
                    Event::Live
                } else {
                    Event::Foreign
                }
            }
            State::Rebasing | State::Reloading => {
                let owner = live.content.owner.as_ref();
                let allowed = match Op::login(&run.ops) {
                    Some(login) if known.is_none() => owner == Some(login),
                    _ => run.owner.is_none() || owner == run.owner.as_ref(),
                };
                if !allowed && holds!(OwnerIsChecked) {
                    return Event::Foreign;
                }
                if run.state == State::Reloading && given.rules.is_expired(&live, given.now) {
                    run.error = Some(Error::Expired);
                    return Event::Absent;
                }
                if run.state == State::Rebasing && run.ops.is_empty() && !run.extend {
                    Event::LiveUnchanged
                } else {
                    Event::Live
                }
            }
            _ => Event::Live,
        };
        run.live = Some(live);
        run.rebased = true;
        event
    }

    /// Which event it is that the record of a presented id is `found`.
    fn presented(&mut self, found: Found, given: &Given<'_>) -> Event {
        let Some(run) = &mut self.run else {
            return Event::Failed;
        };
        let Some(candidate) = run.candidate.take() else {
            return Event::Failed;
        };
        let more = !run.candidates.is_empty();
        match found {
            Found::Live(mut live) if !given.rules.is_expired(&live, given.now) => {
                live.id = Some(candidate.id);
                live.outdated = candidate.outdated;
                run.live = Some(live);
                return Event::Live;
            }
            Found::Forwarded(_, until) if until > given.now => {
                run.late.get_or_insert((candidate.key, candidate.form));
            }
            Found::Unreadable(error @ Error::LaterVersion) => {
                run.error = Some(error);
                return Event::Failed;
            }
            Found::Unreadable(error) => {
                let source = std::error::Error::source(&error).unwrap_or(&error);
                tracing::warn!(
                    key = ?candidate.key,
                    error = source,
                    "a session record cannot be read and counts as absent"
                );
                if !more && run.late.is_none() {
                    run.key = Some((candidate.key, candidate.form));
                    return Event::Unreadable;
                }
            }
            Found::Ended if !more && run.late.is_none() => return Event::Ended,
            _ => {}
        }
        match &run.late {
            _ if more => Event::TryNext,
            Some(late) => {
                run.key = Some(late.clone());
                Event::Forwarded
            }
            None => Event::Absent,
        }
    }

    fn unreadable(&mut self, error: Error) -> Event {
        let Some(run) = &mut self.run else {
            return Event::Failed;
        };
        if run.state != State::Opening {
            run.error = Some(error);
            return Event::Unreadable;
        }
        let Some(candidate) = run.candidate.take() else {
            return Event::Failed;
        };
        if !run.candidates.is_empty() {
            return Event::TryNext;
        }
        run.key = Some((candidate.key, candidate.form));
        Event::Unreadable
    }

    /// Ends the run as the table says.
    fn finish(&mut self, outcome: Outcome, given: Option<&mut Given<'_>>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let login = Op::login(&run.ops).is_some();
        let changes = !run.ops.is_empty();
        let sends_cookie = run.sends_cookie;
        let error = run.error.take();
        let (live, written, key) = (run.live.take(), run.written.take(), run.key.take());
        let native = key
            .as_ref()
            .map(|(_, form)| *form)
            .or(live.as_ref().map(|live| live.form))
            .is_none_or(Rules::keeps_tombstones);
        let result = match outcome {
            Outcome::Opened | Outcome::Reloaded => {
                self.origin = live.map_or(Origin::New, Origin::Live);
                self.drop_unknown_id();
                Ok(Saved::Unchanged)
            }
            Outcome::Late => {
                self.origin = key.map_or(Origin::New, |(key, form)| Origin::Late(key, form));
                Ok(Saved::Unchanged)
            }
            Outcome::Damaged => {
                self.origin = key.map_or(Origin::New, |(key, form)| Origin::Damaged(key, form));
                Ok(Saved::Unchanged)
            }
            Outcome::Anonymous => {
                self.origin = Origin::New;
                Ok(Saved::Unchanged)
            }
            Outcome::Unchanged | Outcome::Kept => {
                let emptied = given.is_some_and(|given| {
                    // Flask has a browser forget the cookie, if it has one, of a session that was emptied.
                    given.rules.form() == Form::Flask
                        && matches!(self.origin, Origin::New)
                        && changes
                });
                if emptied {
                    self.pending = Pending::Removal;
                }
                Ok(Saved::Unchanged)
            }
            Outcome::Stored => {
                match written {
                    Some(written) => self.origin = Origin::Live(written),
                    None => {
                        // Emptied, in Flask's form.
                        self.origin = Origin::New;
                        self.pending = Pending::Removal;
                    }
                }
                self.moved = true;
                if sends_cookie && !self.sends_id() {
                    self.pending = Pending::Id;
                }
                self.drop_unknown_id();
                Ok(Saved::Stored)
            }
            Outcome::StoredUnderNewId => {
                self.origin = written.map_or(Origin::Ended, Origin::Live);
                self.moved = true;
                self.pending = Pending::NewId;
                Ok(Saved::Stored)
            }
            Outcome::Refreshed => {
                self.origin = written.map_or(Origin::Ended, Origin::Live);
                self.moved = true;
                if sends_cookie && !self.sends_id() {
                    self.pending = Pending::Id;
                }
                Ok(Saved::Unchanged)
            }
            Outcome::Verified => {
                if let Some(live) = live {
                    self.origin = Origin::Live(live);
                }
                if sends_cookie && !self.sends_id() {
                    self.pending = Pending::Id;
                }
                Ok(Saved::Unchanged)
            }
            Outcome::Unrefreshed => {
                if let Some(error) = error {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a session's expiry was not moved"
                    );
                }
                self.moved = true;
                self.forget_pending_id();
                Ok(Saved::Unchanged)
            }
            Outcome::Followed => {
                if let Some(live) = live {
                    self.origin = Origin::Live(live);
                }
                self.forget_pending_id();
                if let Origin::Live(live) = &mut self.origin {
                    live.id = None;
                }
                Ok(Saved::Unchanged)
            }
            Outcome::Dropped => {
                self.origin = Origin::Ended;
                self.forget_pending_id();
                if login {
                    Err(Error::Conflict)
                } else {
                    Ok(Saved::Ended)
                }
            }
            Outcome::Missing => {
                self.forget_pending_id();
                Err(error.unwrap_or(if native {
                    Error::Missing
                } else {
                    // Without tombstones nobody knows whether the session was ended or renewed.
                    Error::Conflict
                }))
            }
            Outcome::HeadSent => Err(Error::HeadSent),
            Outcome::Conflict => Err(Error::Conflict),
            Outcome::NotLoaded => Err(Error::NotLoaded),
            Outcome::Unreadable | Outcome::Failed => Err(error.unwrap_or(Error::Unknown)),
        };
        self.end_run(result);
    }

    /// Whether the answer's head is to carry the session's id.
    fn sends_id(&self) -> bool {
        matches!(self.pending, Pending::Id | Pending::NewId)
    }

    /// No answer sends an id that the session may not have any more.
    fn forget_pending_id(&mut self) {
        if self.sends_id() && holds!(UnknownIdIsForgotten) {
            self.pending = Pending::Nothing;
        }
    }

    fn drop_unknown_id(&mut self) {
        if self.live().is_none_or(|live| live.id.is_none()) {
            self.forget_pending_id();
        }
    }

    fn end_run(&mut self, result: Result<Saved>) {
        let Some(run) = self.run.take() else {
            return;
        };
        if let Err(error) = &result
            && run.goal != Goal::Reload
            && !error.is_known_outcome()
        {
            self.failed = holds!(UnknownStaysUnknown);
        }
        // An answer that failed could not look whether the id that the browser knows is still the session's.
        if result.is_err() && run.goal == Goal::Finish && self.pending == Pending::Id {
            self.pending = Pending::Nothing;
        }
        if run.destroyed && holds!(DestroyedWhileSaving) {
            self.destroy_origin();
        }
        if self.ops.is_empty() {
            self.view = None;
        }
        self.had_owner |= self.live().is_some_and(|live| live.content.owner.is_some());
        match result {
            Err(error) if !run.awaited && run.goal != Goal::Reload => {
                self.untold = Some(error).filter(|_| holds!(UntoldErrorIsTold));
            }
            result if run.awaited => {
                let earlier = self.result.replace((run.number, result));
                self.results.extend(earlier);
            }
            _ => {}
        }
    }

    /// Makes the changes that came while a run was under way on what the session is by now.
    ///
    /// One that does not fit any more is told by its own save.
    pub(crate) fn remake(&mut self, rules: &Rules, now: Millis) {
        if self.run.is_some() || self.ops.is_empty() {
            return;
        }
        let format = rules.settings.format;
        if let Ok(view) = replay(self.base(rules), &self.ops, now, format) {
            self.view = Some(view);
        }
    }

    /// The session without the changes that are still to be saved.
    fn base<'m>(&'m self, rules: &'m Rules) -> &'m Content {
        self.live().map_or(&rules.blank, |live| &live.content)
    }
}

impl Run {
    fn new(number: u64, goal: Goal) -> Self {
        Self {
            number,
            awaited: true,
            goal,
            state: State::Idle,
            queued_for: State::Idle,
            attempts: 0,
            call: None,
            ops: Vec::new(),
            renew: false,
            extend: false,
            owner: None,
            live: None,
            key: None,
            written: None,
            tombstone: None,
            candidates: Vec::new(),
            candidate: None,
            late: None,
            error: None,
            sends_cookie: false,
            rebased: false,
            destroyed: false,
        }
    }

    fn next_candidate(&mut self) -> Option<Call> {
        let candidate = self.candidates.pop()?;
        let call = Call::Load(candidate.key.clone());
        self.candidate = Some(candidate);
        Some(call)
    }

    /// The compare-and-set of a renewal.
    fn reforward(&self) -> Option<Call> {
        let live = self.live.as_ref()?;
        Some(Call::Update(
            live.key.clone(),
            self.tombstone.as_deref()?.clone(),
            live.revision.clone(),
        ))
    }

    /// Whether the record in question has no tombstones.
    fn is_of_flask(&self) -> bool {
        self.live
            .as_ref()
            .is_some_and(|live| live.form == Form::Flask)
    }

    /// Whether the write under way leaves what stands for no session.
    fn writes_nil(&self) -> bool {
        let flask = self.is_of_flask();
        match self.state {
            State::Updating => flask && self.written.is_none(),
            State::Forwarding | State::Reforwarding | State::Ending => flask,
            _ => false,
        }
    }

    /// States that could be taken up without end: a taken id, a tombstone after another.
    fn call_count_grows(&self, state: State) -> bool {
        match state {
            State::Inserting => self.written.is_some(),
            State::Copying => self.written.is_some() || self.attempts > 0,
            State::Rebasing | State::Finding | State::Reloading => self.live.is_some(),
            _ => false,
        }
    }
}

/// Notes on `content` what the library itself says of a session from its first record on.
fn note(form: Form, content: &mut Content, given: &mut Given<'_>) {
    if form == Form::Native && content.lineage.is_none() {
        let mut random = [0; 16];
        (given.random)(&mut random);
        content.lineage = Some(random);
    }
    if form == Form::Native || given.rules.settings.absolute_timeout.is_some() {
        content.created_at.get_or_insert(given.now);
    }
}

fn tag(random: &mut dyn FnMut(&mut [u8])) -> [u8; 8] {
    let mut tag = [0; 8];
    random(&mut tag);
    tag
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("number", &self.number)
            .field("state", &self.state)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
