//! One request's session as a state machine: the application's calls and the store's answers go in, calls to the store
//! and results come out.
//!
//! It does no I/O, waits for nothing and reads no clock: what it needs from outside is in [`Inputs`]. `table.rs` says
//! which state follows from which event; here stands what a state asks the store for, and which event an answer is.

mod calls;
mod classify;
mod plan;
mod run;
mod run_end;
pub(crate) mod table;
mod view;
mod write;

use std::{mem::take, sync::Arc};

use self::run::Run;
use self::table::{Event, Next, RunEnd, State, rule_holds};
use crate::{
    content::Content,
    error::{Error, Result},
    expiry::Millis,
    key::StoreKey,
    op::{Op, replay},
    record::{Loaded, Record, Revision, Write},
    rules::{Form, Live, Presented, Rules},
};

/// What the machine is given from outside.
pub(crate) struct Inputs<'g> {
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
    /// The changes are in the store, or the session that was to end has ended there.
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
    /// Shared with the run that writes it anew.
    Live(Arc<Live>),
    /// The request came with an id that was renewed.
    Late(StoreKey, Form),
    /// The request came with the id of a record that cannot be read.
    Damaged(StoreKey, Form),
    /// It was live when the request loaded it, and has ended since.
    Ended,
    /// It was live when the request loaded it, and is another user's by now, under that key.
    OtherOwner(StoreKey, Form),
    /// It could not be loaded, and counts as empty.
    NotLoaded,
}

/// A session that is to end before anything else is done.
#[derive(Debug)]
enum Ending {
    Live(Arc<Live>),
    Unloaded(StoreKey, Form),
    /// It is over by this process's clock. Another's may be behind, or a request that found it live may prolong it.
    Expired(StoreKey, Form),
    /// It could not be loaded, so nobody can say that it is ended.
    NotLoaded,
}

/// Which sessions may be ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndCondition {
    /// Only this owner's.
    pub(crate) owner: Option<Arc<str>>,
    /// Not the one of this lineage.
    pub(crate) keep: Option<[u8; 16]>,
}

/// What the answer's head is to say of the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PendingCookie {
    Nothing,
    /// The id of the session's record.
    Id,
    /// The same; nobody has it yet, so no other request can have renewed it.
    NewId,
    Removal,
}

/// One request's session.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Machine {
    origin: Origin,
    /// The session with every change made, if there are any.
    view: Option<Content>,
    /// The changes that no save has begun to store.
    ops: Vec<Op>,
    renew: bool,
    extend: bool,
    /// The sessions that are to end, the last first.
    endings: Vec<Ending>,
    /// Ids that came with the request and whose sessions are over by this process's clock.
    expired: Vec<(StoreKey, Form)>,
    condition: EndCondition,
    pending_cookie: PendingCookie,
    head_sent: bool,
    /// The outcome of a write is unknown: nothing may be reported as saved any more.
    write_unknown: bool,
    /// A write of this request moved the expiry: there is nothing left to refresh.
    expiry_moved: bool,
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
    unreported: Option<Error>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            origin: Origin::Unopened,
            view: None,
            ops: Vec::new(),
            renew: false,
            extend: false,
            endings: Vec::new(),
            expired: Vec::new(),
            condition: EndCondition::default(),
            pending_cookie: PendingCookie::Nothing,
            head_sent: false,
            write_unknown: false,
            expiry_moved: false,
            ended: false,
            had_owner: false,
            run: None,
            last_run: 0,
            result: None,
            results: Vec::new(),
            unreported: None,
        }
    }

    /// A machine whose session has no record yet.
    pub(crate) fn blank() -> Self {
        Self {
            origin: Origin::New,
            ..Self::new()
        }
    }

    /// A machine that ends the session under `key` when it is saved, if `condition` allows it.
    pub(crate) fn ending(key: StoreKey, form: Form, condition: EndCondition) -> Self {
        Self {
            endings: vec![Ending::Unloaded(key, form)],
            condition,
            ..Self::blank()
        }
    }

    /// Loads the session of the first of `candidates` that is live.
    pub(crate) fn open(&mut self, mut candidates: Vec<Presented>, inputs: &mut Inputs<'_>) -> u64 {
        candidates.reverse();
        let number = self.start(Goal::Reload, |run| {
            run.state = State::Opening;
            run.candidates = candidates;
        });
        if self.run.as_ref().is_some_and(|it| it.candidates.is_empty()) {
            self.origin = Origin::New;
            self.end_run(Ok(Saved::Unchanged));
        } else {
            self.enter(State::Opening, inputs);
        }
        number
    }

    /// Begins what `goal` says, and gives the number to fetch the result with. Only while nothing is under way.
    pub(crate) fn begin(&mut self, goal: Goal, inputs: &mut Inputs<'_>) -> u64 {
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
        let unreported = self.unreported.take();
        if let Some(error) = unreported.or_else(|| self.undelivered_error(goal)) {
            self.end_run(Err(error));
        } else if self.write_unknown && goal != Goal::Reload {
            self.end_run(Err(Error::Unknown));
        } else {
            self.plan(inputs);
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

    /// At the end of the request, an error that somebody who waits for it has not fetched: he may never.
    fn undelivered_error(&mut self, goal: Goal) -> Option<Error> {
        if goal != Goal::Finish {
            return None;
        }
        let results = self
            .result
            .take()
            .into_iter()
            .chain(take(&mut self.results));
        let (failed, told): (Vec<_>, Vec<_>) = results.partition(|(_, result)| result.is_err());
        self.results = told;
        failed.into_iter().find_map(|(_, result)| result.err())
    }

    /// Whether the run `number` is under way.
    pub(crate) fn runs(&self, number: u64) -> bool {
        self.run.as_ref().is_some_and(|run| run.number == number)
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
    pub(crate) fn take_result(&mut self, number: u64) -> Option<Result<Saved>> {
        if let Some((_, result)) = self.result.take_if(|(of, _)| *of == number) {
            return Some(result);
        }
        let place = self.results.iter().position(|(of, _)| *of == number)?;
        Some(self.results.swap_remove(place).1)
    }

    /// Nobody waits for the result of the run `number` any more: what failed is told by the next.
    pub(crate) fn abandon(&mut self, number: u64) {
        match self.take_result(number) {
            Some(Err(error)) => self.unreported = Some(error),
            Some(Ok(_)) => {}
            None => {
                if let Some(run) = self.run.as_mut().filter(|run| run.number == number) {
                    run.awaited = false;
                    if !rule_holds!(DroppedSaveContinues) {
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
        self.finish(RunEnd::Failed, None);
    }

    /// Goes on with the answer to the last call.
    pub(crate) fn answer(&mut self, answer: Answer, inputs: &mut Inputs<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let event = match answer {
            Answer::Loaded(loaded) => match loaded {
                Ok(loaded) => self.classify(loaded, inputs),
                Err(error @ Error::Corrupt { .. }) => self.classify_corrupt(error),
                Err(error) => {
                    run.error = Some(error);
                    Event::Failed
                }
            },
            Answer::Written(Ok(Write::Stored(revision))) => {
                let event = run.stored_event();
                if let Some(written) = &mut run.written
                    && !matches!(run.state, State::Forwarding | State::ForwardingAgain)
                {
                    Arc::make_mut(written).revision = revision;
                }
                event
            }
            // Flask's nil does not say who wrote it: most likely the first try did.
            Answer::Written(Ok(Write::Refused))
                if run.state == State::ForwardingAgain && run.lacks_tombstones() =>
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
                self.enter(state, inputs);
                return;
            }
        };
        self.transition(event, inputs);
    }

    /// Does what the table says.
    fn transition(&mut self, event: Event, inputs: &mut Inputs<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let Some(next) = table::next(run.state, event) else {
            debug_assert!(false, "{event:?} in {:?}", run.state);
            run.error = Some(Error::Unknown);
            self.finish(RunEnd::Failed, None);
            return;
        };
        table::count(run.state, event);
        match next {
            Next::Go(state) => self.enter(state, inputs),
            Next::Queue(state) => {
                run.attempts += 1;
                run.queued_for = state;
                let key = match (&run.key, &run.live) {
                    (Some((key, _)), _) => key.clone(),
                    (None, Some(live)) => live.key.clone(),
                    (None, None) => return self.enter(state, inputs),
                };
                run.state = State::Queued;
                run.call = Some(Call::Turn(key, run.attempts));
            }
            Next::Again => {
                if matches!(run.state, State::Ending | State::DeletingEnded) {
                    self.ended = true;
                }
                run.ended = true;
                run.state = State::Idle;
                run.live = None;
                run.key = None;
                run.ends_expired = false;
                if self.endings.is_empty() {
                    self.pending_cookie = PendingCookie::Removal;
                }
                self.plan(inputs);
            }
            Next::Done(end) => self.finish(end, Some(inputs)),
        }
    }

    /// Makes the changes that came while a run was under way on what the session is by now.
    ///
    /// One that does not fit any more is told by its own save.
    pub(crate) fn replay_unsaved(&mut self, rules: &Rules, now: Millis) {
        if self.run.is_some() || self.ops.is_empty() {
            return;
        }
        let format = rules.settings.format;
        if let Ok(view) = replay(self.base(rules), &self.ops, now, format) {
            self.view = Some(view);
        }
    }
}

#[cfg(test)]
mod tests;
