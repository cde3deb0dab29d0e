//! One request's session as a state machine: the application's calls and the store's answers go in, calls to the store
//! and results come out.
//!
//! It does no I/O, waits for nothing and reads no clock: what it needs from outside is in [`Inputs`]. `table.rs` says
//! which state follows from which event; here stands what a state asks the store for, and which event an answer is.

mod found;
mod plan;
mod run;
mod run_end;
pub(crate) mod table;
mod write;

use std::{mem::take, sync::Arc};

use self::run::Run;
use self::table::{Event, Next, RunEnd, State, holds};
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
    Taken(StoreKey, Form),
    /// It could not be loaded, and counts as empty.
    Detached,
}

/// A session that is to end before anything else is done.
#[derive(Debug)]
enum Ending {
    Live(Arc<Live>),
    Unseen(StoreKey, Form),
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
            endings: vec![Ending::Unseen(key, form)],
            condition,
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
        match self.visible_origin() {
            Origin::Live(live) => Some(live),
            _ => None,
        }
    }

    /// The origin as the application sees it: of a session that it destroyed while a run was under way, nothing is left.
    fn visible_origin(&self) -> &Origin {
        match &self.run {
            Some(run) if run.destroyed && !matches!(self.origin, Origin::Detached) => &Origin::New,
            _ => &self.origin,
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
        matches!(self.visible_origin(), Origin::Late(..))
    }

    /// Whether another request is known to have ended it.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.visible_origin(), Origin::Ended | Origin::Taken(..))
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
        match self.visible_origin() {
            Origin::Live(live) => Some((&live.key, live.form)),
            Origin::Late(key, form) => Some((key, *form)),
            _ => None,
        }
    }

    /// Whether the request came with an id whose session is over, and has no session of its own.
    pub(crate) fn is_expired(&self) -> bool {
        !self.expired.is_empty() && matches!(self.visible_origin(), Origin::New)
    }

    /// Whether it was this machine that ended a session.
    pub(crate) fn has_ended_one(&self) -> bool {
        self.ended
    }

    /// Whether something is still to be saved.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.ops.is_empty() || self.renew || self.extend || !self.endings.is_empty()
    }

    /// How many changes, renewals and log-outs are lost with the last handle of the request, unless the
    /// [background save](Self::has_background_save) goes on.
    pub(crate) fn unsaved_changes(&self, save_continues: bool) -> usize {
        // What failed was told.
        if self.failed {
            return 0;
        }
        // A save of a log-out or a renewal alone has no changes.
        let begun = self.saving().map_or(0, |run| run.ops.len().max(1));
        let rest = begun + self.endings.len();
        let waiting = self.ops.len() + usize::from(self.renew);
        waiting + if save_continues { 0 } else { rest }
    }

    /// The save under way.
    fn saving(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| run.goal == Goal::Save)
    }

    /// Whether the end of the request is under way: who waits for it tells what becomes of it.
    pub(crate) fn is_finishing(&self) -> bool {
        let run = self.run.as_ref();
        run.is_some_and(|run| run.goal == Goal::Finish)
    }

    /// Whether the last handle leaves what is to go on: a save under way; and where the handler was cut off before its
    /// end, a log-out, which is always safe.
    pub(crate) fn has_background_save(&self) -> bool {
        let ends = !self.head_sent && !self.endings.is_empty();
        !self.failed && (self.saving().is_some() || ends)
    }

    /// Drops all but the [background save](Self::has_background_save): what a handler that was cut off had not saved is half done.
    pub(crate) fn keep_background_save(&mut self) {
        self.ops.clear();
        self.renew = false;
        self.extend = false;
        self.close_head();
    }

    /// Whether the end of the request needs nothing of the store.
    pub(crate) fn is_settled(&self, rules: &Rules, now: Millis) -> bool {
        let failed = |it: &(u64, Result<Saved>)| it.1.is_err();
        let unheard = self.result.iter().chain(&self.results).any(failed);
        let idle = self.run.is_none() && self.unreported.is_none() && !self.failed && !unheard;
        let refreshes = |live| !self.moved && rules.refreshes(live, now);
        idle && !self.is_dirty() && !self.sends_id() && !self.live().is_some_and(refreshes)
    }

    /// The value of the `Set-Cookie` header that the session needs so far.
    pub(crate) fn cookie(&self, rules: &Rules, now: Millis) -> Option<String> {
        match self.pending {
            Pending::Nothing => None,
            Pending::Removal => Some(rules.removal()),
            Pending::Id | Pending::NewId => rules.set_cookie(self.live().or(self.unended())?, now),
        }
    }

    /// The key of the id that the answer's head is to carry.
    fn pending_key(&self) -> Option<&StoreKey> {
        let live = match &self.origin {
            Origin::Live(live) => Some(&**live),
            _ => self.unended().or(self.run.as_ref()?.live.as_deref()),
        };
        live.map(|live| &live.key)
    }

    /// The record that is to end, and is not known to have ended.
    fn unended(&self) -> Option<&Live> {
        self.endings.iter().find_map(|ending| match ending {
            Ending::Live(live) => Some(&**live),
            _ => None,
        })
    }

    /// Whether the answer's head is to carry the session's id.
    fn sends_id(&self) -> bool {
        matches!(self.pending, Pending::Id | Pending::NewId)
    }

    // What the application does.

    /// Makes a change and records it, so that it can be made again on fresher data.
    ///
    /// # Errors
    ///
    /// If the change cannot be made; nothing is recorded then.
    pub(crate) fn change(&mut self, op: Op, rules: &Rules, now: Millis) -> Result<()> {
        if let Op::LogIn(_) = &op {
            match self.visible_origin() {
                Origin::Ended | Origin::Taken(..) => return Err(Error::Conflict),
                Origin::Detached => return Err(Error::NotLoaded),
                _ => {}
            }
        }
        let format = rules.settings.format;
        // What is stored already needs no write. After other changes it may not be what a replay finds.
        let untouched = self.ops.is_empty() && self.run.is_none();
        if let Origin::Live(live) = &self.origin
            && untouched
            // In Flask an assignment is a change, whatever was there.
            && !rules.settings.form.every_change_counts()
            && op.is_done_in(&live.content, format)
        {
            return Ok(());
        }
        let login = match &op {
            Op::LogIn(owner) => Some(owner.clone()),
            _ => None,
        };
        let before = self.view(rules).owner.clone();
        let base = self.view.is_none().then(|| self.base(rules).clone());
        // A change that fails, or a closure that panics, leaves the view as it was.
        let view = self.view.get_or_insert_with(|| base.unwrap_or_default());
        if !op.apply(view, now, format)? && untouched && matches!(self.origin, Origin::Live(_)) {
            return Ok(());
        }
        // What another user's session held is gone: it is not to come back if the login is made again elsewhere.
        if login.is_some_and(|login| before.is_some_and(|before| before != login)) {
            self.ops.retain(Op::outlives_a_login);
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

    /// The same, of a session that has ended in the store by now: no answer sends its id any more.
    pub(crate) fn destroy_ended(&mut self, rules: &Rules) {
        self.destroy(rules);
        self.forget_pending_id();
        if let Some(run) = &mut self.run {
            run.forgets_id = true;
        }
    }

    fn destroy_origin(&mut self) {
        let expired = take(&mut self.expired).into_iter();
        let expired: Vec<_> = expired
            .map(|(key, form)| Ending::Expired(key, form))
            .collect();
        let origin = std::mem::replace(&mut self.origin, Origin::New);
        let ending = match origin {
            Origin::Live(live) => Some(Ending::Live(live)),
            Origin::Late(key, form) | Origin::Damaged(key, form) | Origin::Taken(key, form) => {
                Some(Ending::Unseen(key, form))
            }
            Origin::Detached => {
                self.origin = Origin::Detached;
                Some(Ending::NotLoaded)
            }
            Origin::Unopened | Origin::New | Origin::Ended => None,
        };
        // Those that may not be there any more come first: the live one keeps its cookie until its end is confirmed.
        self.endings.extend(ending);
        self.endings.extend(expired);
        if self.endings.is_empty() {
            self.pending = Pending::Removal;
        }
    }

    /// From now on no cookie can be set.
    pub(crate) fn close_head(&mut self) {
        self.head_sent = true;
    }

    /// Goes on with an empty session of which nothing is written, because none could be loaded.
    pub(crate) fn detach(&mut self) {
        if !self.is_opened() {
            self.origin = Origin::Detached;
        }
    }

    // What is done in the store.

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
        if let Some(error) = unreported.or_else(|| self.unheard(goal)) {
            self.end_run(Err(error));
        } else if self.failed && goal != Goal::Reload {
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
    fn unheard(&mut self, goal: Goal) -> Option<Error> {
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
            Some(Err(error)) => self.unreported = Some(error),
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
                Err(error @ Error::Corrupt { .. }) => self.unreadable(error),
                Err(error) => {
                    run.error = Some(error);
                    Event::Failed
                }
            },
            Answer::Written(Ok(Write::Stored(revision))) => {
                let event = run.stored();
                if let Some(written) = &mut run.written
                    && !matches!(run.state, State::Forwarding | State::Reforwarding)
                {
                    Arc::make_mut(written).revision = revision;
                }
                event
            }
            // Flask's nil does not say who wrote it: most likely the first try did.
            Answer::Written(Ok(Write::Refused))
                if run.state == State::Reforwarding && run.lacks_tombstones() =>
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
        self.follow(event, inputs);
    }

    /// Does what the table says.
    fn follow(&mut self, event: Event, inputs: &mut Inputs<'_>) {
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
                    self.pending = Pending::Removal;
                }
                self.plan(inputs);
            }
            Next::Done(outcome) => self.finish(outcome, Some(inputs)),
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

#[cfg(test)]
mod tests;
