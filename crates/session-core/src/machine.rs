//! One request's session as a state machine. Calls of the application and answers of the store go
//! in; store calls and results come out.
//!
//! The machine does no I/O, never waits and reads no clock: [`Inputs`] brings what it needs from
//! outside. `table.rs` says which state follows from which event. `write.rs` says what a state asks
//! of the store, `classify.rs` which event an answer is, `plan.rs` what a save has to do, and
//! `run_end.rs` what its end means for the session. `view.rs` and `calls.rs` are for the
//! application.

mod calls;
mod classify;
mod plan;
mod rotation;
mod run;
mod run_end;
pub(crate) mod table;
mod view;
mod write;

use std::{mem::take, sync::Arc};

use self::run::Run;
use self::table::{Event, Next, RunEnd, State, rule_holds};
#[cfg(feature = "dbsc")]
use crate::dbsc::{FetchMetadata, PresentedProofs};
use crate::{
    content::Content,
    error::{Error, Result},
    expiry::Millis,
    key::{SidDigest, StoreKey},
    op::{Op, replay},
    record::{Loaded, Record, Revision, Write},
    rotation::Refused,
    rules::{Form, Live, Presented, Rules},
    security_events,
    short_list::ShortList,
};
#[cfg(feature = "flask-cookie")]
use crate::{id::SessionId, key::CookieDigest};

/// What the machine needs from outside.
pub(crate) struct Inputs<'g> {
    pub(crate) rules: &'g Rules,
    pub(crate) now: Millis,
    /// Fills its argument with random bytes.
    pub(crate) random: &'g mut dyn FnMut(&mut [u8]),
    /// Whether other requests of this process write to the key now.
    pub(crate) is_busy: &'g dyn Fn(&StoreKey) -> bool,
}

/// A call that the driver makes for the machine: to the store, or to the queue of the key.
#[derive(Debug)]
pub(crate) enum Call {
    Load(StoreKey),
    Insert(StoreKey, Record),
    Update(StoreKey, Record, Revision),
    Delete(StoreKey),
    /// Admits a login whose record is stored, if the number of its owner's sessions is limited.
    Admit(Login),
    /// Ends what is left of an ended session, by its owner and its lineage.
    EndCopies(Arc<str>, [u8; 16]),
    /// Waits for the request's turn at the key. The number says how often the save was tried, the last
    /// field whether it makes its changes again on the record.
    Turn(StoreKey, usize, bool),
}

/// A login whose record is stored, and which may be beyond the limit of its owner's sessions.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) owner: Arc<str>,
    pub(crate) key: StoreKey,
    pub(crate) lineage: [u8; 16],
    /// Whether the session had a record before, which has the same lineage.
    pub(crate) renews: bool,
    /// The end of the session, unless it is used.
    pub(crate) expires_at: Millis,
}

/// The answer to a [`Call`].
#[derive(Debug)]
pub(crate) enum Answer {
    Loaded(Result<Option<Loaded>>),
    /// In place of a load: the record that another request is about to store.
    Unconfirmed(Loaded),
    Written(Result<Write>),
    Deleted(Result<()>),
    Admitted(Result<()>),
    Turn,
}

/// What a save did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "if the session has ended, the changes were dropped: compare with `Saved::Ended`, or write \
              `let _saved =`"]
pub enum Saved {
    /// The changes are in the store, or the session that was to end has ended there.
    Stored,
    /// There was nothing to save.
    Unchanged,
    /// Another request ended the session, or it belongs to another user now. The changes were
    /// dropped.
    Ended,
}

/// What a run is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Store the changes made so far.
    Save,
    /// Store them, or refresh an unchanged session if that is due. The head is sent afterwards.
    Finish,
    /// Load what is stored now.
    Reload,
}

/// Where a request's session comes from. This decides what happens to its changes.
#[derive(Debug)]
enum Origin {
    /// Its record was not loaded yet.
    Unopened,
    /// There is no record. The first change creates one.
    New,
    /// A live record. A run that replaces it shares it.
    Live(Arc<Live>),
    /// The request arrived with an id that was renewed.
    Late(StoreKey, Form),
    /// The request arrived with the id of a record that cannot be read.
    Damaged(StoreKey, Form),
    /// The session was live when the request loaded it, and has ended since.
    Ended,
    /// The session was live when the request loaded it, and belongs to another user now, under that
    /// key.
    OtherOwner(StoreKey, Form),
    /// The session could not be loaded. It counts as empty, and nothing of it is written.
    NotLoaded,
}

/// A session that the next save ends before it does anything else.
#[derive(Debug)]
enum Ending {
    Live(Arc<Live>),
    Unloaded(StoreKey, Form),
    /// The session of another cookie of the request, which may be dead already. It may also be
    /// live: another cookie came first, or it has expired only by this process's clock.
    Presented(StoreKey, Form),
    /// The session of an id that was rotated long ago, and that the request presented. Its own
    /// cookie stays.
    Rotated(Refused),
    /// The session could not be loaded, so its end cannot be confirmed.
    NotLoaded,
}

/// Which sessions a log-out may end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EndCondition {
    /// Only sessions of this owner.
    pub(crate) owner: Option<Arc<str>>,
    /// Only those that belong to this session of an identity provider.
    pub(crate) provider_session: Option<Arc<SidDigest>>,
    /// Not the session of this lineage.
    pub(crate) keep: Option<[u8; 16]>,
    /// Only the session of this lineage, while it is this user's, or nobody's.
    pub(crate) seen: Option<([u8; 16], Option<Arc<str>>)>,
}

impl EndCondition {
    /// Whether it is that of a request or of an administrator, who ends one session.
    fn is_none(&self) -> bool {
        let of_one = Self {
            seen: self.seen.clone(),
            ..Self::default()
        };
        *self == of_one
    }

    fn allows(&self, content: &Content) -> bool {
        let is_kept = self.keep.is_some() && content.lineage == self.keep;
        let is_owned = self.owner.is_none() || content.owner == self.owner;
        let belongs =
            self.provider_session.is_none() || content.provider_session == self.provider_session;
        let is_seen = self.seen.as_ref().is_none_or(|(lineage, owner)| {
            content.lineage == Some(*lineage) && content.owner == *owner
        });
        !is_kept && is_owned && belongs && is_seen
    }
}

/// The cookie that the response's head is to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PendingCookie {
    Nothing,
    /// The id of the session's record.
    Id,
    /// The id of the session's record. It is new, so no other request can have renewed it.
    NewId,
    Removal,
}

/// One request's session.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Machine {
    origin: Origin,
    /// The session with all changes of this request, if there are any.
    view: Option<Content>,
    /// Changes that no save has taken up yet.
    ops: ShortList<Op>,
    renew: bool,
    extend: bool,
    /// Sessions that are to end. The last one ends first.
    endings: Vec<Ending>,
    /// Keys of ids that the request presented besides the session's own, and that a log-out looks
    /// at: those of further cookies, and those whose sessions have ended, or have expired by this
    /// process's clock.
    others: Vec<(StoreKey, Form)>,
    /// One of these has expired by this process's clock, was renewed long ago, or cannot be read: its
    /// user may be logged in all the same.
    no_rights: bool,
    /// When the request arrived, if rotation is on: an upload may take long, and what counts is
    /// whether the browser could have known the next id. If the clock was set back since, it is
    /// later than now, and now counts.
    pub(crate) arrived: Option<Millis>,
    condition: EndCondition,
    pending_cookie: PendingCookie,
    head_sent: bool,
    /// It is unknown whether a write was carried out, so nothing may be reported as saved any more.
    write_unknown: bool,
    /// A write of this request moved the expiry, so no refresh is due.
    expiry_moved: bool,
    /// Whether this machine ended a session.
    ended: bool,
    /// Whether this request used a session with an owner.
    had_owner: bool,
    run: Option<Run>,
    last_run: u64,
    /// The result of the last run, until its caller takes it.
    result: Option<(u64, Result<Saved>)>,
    /// Results of earlier runs, if several callers wait at once.
    results: Vec<(u64, Result<Saved>)>,
    /// An error that no caller received, because the future that waited for it was dropped.
    unreported: Option<Error>,
    /// The bound cookies that the request presented.
    #[cfg(feature = "dbsc")]
    proofs: PresentedProofs,
    /// Where the request comes from, if sessions are bound to devices.
    #[cfg(feature = "dbsc")]
    pub(crate) fetch_metadata: FetchMetadata,
    /// Whether the response is to offer to bind the session.
    #[cfg(feature = "dbsc")]
    offers_device: bool,
    /// Whether the reasons were reported why the browser sent the request without the bound cookie.
    #[cfg(feature = "dbsc")]
    pub(crate) has_reported_skipped: bool,
    /// The id of the first record, and the revision of the tombstone that it replaces, if there is
    /// one. If there is another record of the id, the save fails.
    #[cfg(feature = "flask-cookie")]
    pub(crate) given_id: Option<(SessionId, Option<Revision>)>,
    /// Whether Flask's cookies were asked for a session. They are asked once.
    #[cfg(feature = "flask-cookie")]
    pub(crate) has_asked_flask: bool,
    /// Whether one of them has started the session.
    #[cfg(feature = "flask-cookie")]
    pub(crate) started_by_flask: bool,
    /// Whether the application has logged out.
    #[cfg(any(feature = "dbsc", feature = "flask-cookie"))]
    logged_out: bool,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            origin: Origin::Unopened,
            view: None,
            ops: ShortList::default(),
            renew: false,
            extend: false,
            endings: Vec::new(),
            others: Vec::new(),
            no_rights: false,
            arrived: None,
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
            #[cfg(feature = "dbsc")]
            proofs: PresentedProofs::default(),
            #[cfg(feature = "dbsc")]
            fetch_metadata: FetchMetadata::default(),
            #[cfg(feature = "dbsc")]
            offers_device: false,
            #[cfg(feature = "dbsc")]
            has_reported_skipped: false,
            #[cfg(feature = "flask-cookie")]
            given_id: None,
            #[cfg(feature = "flask-cookie")]
            has_asked_flask: false,
            #[cfg(feature = "flask-cookie")]
            started_by_flask: false,
            #[cfg(any(feature = "dbsc", feature = "flask-cookie"))]
            logged_out: false,
        }
    }

    /// A machine whose session has no record yet.
    pub(crate) fn blank() -> Self {
        Self {
            origin: Origin::New,
            ..Self::new()
        }
    }

    /// A machine whose save ends the session under `key`, if `condition` allows it.
    pub(crate) fn ending(key: StoreKey, form: Form, condition: EndCondition) -> Self {
        Self {
            endings: vec![Ending::Unloaded(key, form)],
            condition,
            ..Self::blank()
        }
    }

    /// Begins to load the session of the first of `candidates` that is live.
    pub(crate) fn open(
        &mut self,
        candidates: ShortList<Presented>,
        inputs: &mut Inputs<'_>,
    ) -> u64 {
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

    /// Begins a run, and returns its number for [`take_result`](Self::take_result). No other run
    /// may be under way.
    pub(crate) fn begin(&mut self, goal: Goal, inputs: &mut Inputs<'_>) -> u64 {
        let ops = if goal == Goal::Reload {
            ShortList::default()
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
            self.refuse(error, inputs);
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

    /// At the end of the request, an error that its caller has not taken yet, and may never take.
    fn undelivered_error(&mut self, goal: Goal) -> Option<Error> {
        if goal != Goal::Finish {
            return None;
        }
        let results = self
            .result
            .take()
            .into_iter()
            .chain(take(&mut self.results));
        let (failed, succeeded): (Vec<_>, Vec<_>) =
            results.partition(|(_, result)| result.is_err());
        self.results = succeeded;
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

    /// The next call that the driver has to make. Each call is returned once.
    pub(crate) fn next_call(&mut self) -> Option<Call> {
        self.run.as_mut()?.call.take()
    }

    /// The result of the run `number`, if it is over.
    pub(crate) fn take_result(&mut self, number: u64) -> Option<Result<Saved>> {
        if let Some((_, result)) = self.result.take_if(|(of, _)| *of == number) {
            return Some(result);
        }
        let place = self.results.iter().position(|(of, _)| *of == number)?;
        Some(self.results.swap_remove(place).1)
    }

    /// Nobody waits for the result of the run `number` any more. The next run reports its error.
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

    /// Ends a run that cannot continue, because code of the application panicked in it.
    pub(crate) fn fail_run(&mut self) {
        if let Some(run) = &mut self.run {
            run.error = Some(Error::Unknown);
        }
        self.finish(RunEnd::Failed, None);
    }

    /// Continues the run with the answer to its last call.
    pub(crate) fn answer(&mut self, answer: Answer, inputs: &mut Inputs<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let event = match answer {
            Answer::Loaded(loaded) => match loaded {
                Ok(loaded) => self.classify(loaded, inputs),
                Err(error @ Error::Corrupt { .. }) => self.classify_corrupt(error, inputs),
                Err(error) => {
                    run.error = Some(error);
                    run.failed_event()
                }
            },
            Answer::Unconfirmed(loaded) => {
                run.is_unconfirmed = true;
                let event = self.classify(Some(loaded), inputs);
                self.transition(event, inputs);
                if let Some(run) = &mut self.run {
                    run.is_unconfirmed = false;
                }
                return;
            }
            Answer::Written(Ok(Write::Stored(revision))) => {
                let event = run.stored_event();
                if let Some(written) = &mut run.written
                    && !matches!(run.state, State::Forwarding | State::ForwardingAgain)
                {
                    Arc::make_mut(written).revision = revision;
                }
                event
            }
            // Flask's nil does not name its writer. Most likely the first try wrote it.
            Answer::Written(Ok(Write::Refused))
                if run.state == State::ForwardingAgain && run.lacks_tombstones() =>
            {
                Event::Failed
            }
            #[cfg(feature = "flask-cookie")]
            Answer::Written(Ok(Write::Refused))
                if run.state == State::Inserting && self.given_id.is_some() =>
            {
                run.error = Some(Error::Conflict);
                Event::Failed
            }
            Answer::Written(Ok(Write::Refused)) => Event::Refused,
            Answer::Written(Err(error)) => {
                // The reason why a login is withdrawn is what its caller gets.
                run.error.get_or_insert(error);
                run.failed_event()
            }
            Answer::Deleted(deleted) => {
                if let Err(error) = deleted {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "an unused record could not be deleted; it stays until it expires"
                    );
                }
                Event::Deleted
            }
            Answer::Admitted(Ok(())) => run.admitted_event(),
            Answer::Admitted(Err(error)) => {
                run.error = Some(error);
                Event::Failed
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

    /// Makes the transition that the table says.
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
                let rebases = state == State::Rebasing;
                run.call = Some(Call::Turn(key, run.attempts, rebases));
            }
            Next::Again => {
                let of_rotated = run.ends_rotated.take().is_some();
                let ends = run.dead.is_none()
                    && matches!(
                        run.state,
                        State::Ending | State::DeletingEnded | State::EndingCopies
                    );
                self.ended |= ends;
                // What was dead when this request first saw it, an earlier try may have ended whose
                // answer was lost. Who ends many sessions reports each once.
                let is_news = ends || (run.live.is_none() && !of_rotated);
                let ended = run.whose_end().filter(|it| it.owner.is_some());
                if let Some(ended) = ended.filter(|_| is_news && self.condition.is_none()) {
                    security_events::log_out(Some(ended.lineage));
                }
                run.ended = true;
                run.state = State::Idle;
                run.live = None;
                run.dead = None;
                run.key = None;
                run.may_be_dead = false;
                let others = |it: &Ending| !matches!(it, Ending::Rotated(_));
                if !of_rotated && !self.endings.iter().any(others) {
                    self.pending_cookie = PendingCookie::Removal;
                }
                self.plan(inputs);
            }
            Next::Done(end) => self.finish(end, Some(inputs)),
        }
    }

    /// Replays the changes that were made during a run on what the session is now.
    ///
    /// If a change cannot be replayed, its own save reports the error.
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

#[cfg(any(feature = "dbsc", feature = "flask-cookie"))]
impl Machine {
    /// Whether the application has logged out, and nothing is left to end.
    pub(crate) fn has_logged_out(&self) -> bool {
        self.logged_out && self.endings.is_empty()
    }
}

/// The session that a cookie of Flask's starts.
#[cfg(feature = "flask-cookie")]
impl Machine {
    /// Whether the request has no session of its own, and nothing happened to it yet.
    pub(crate) fn may_import(&self) -> bool {
        matches!(self.origin, Origin::New | Origin::Ended)
            && !self.has_asked_flask
            && !self.logged_out
            && self.run.is_none()
            && self.view.is_none()
            && !self.is_dirty()
    }

    /// Whether the session was started from a cookie of Flask's in this request.
    pub(crate) fn is_imported(&self) -> bool {
        self.started_by_flask && self.live().is_some()
    }

    /// Forgets that no session was found, so that the next one to open is.
    pub(crate) fn open_again(&mut self) {
        if self.may_import() {
            self.origin = Origin::Unopened;
        }
    }

    /// The log-out that the next call stores: its user, and the cookie that the session was started
    /// from. `None` for other calls, and for those who end many sessions.
    pub(crate) fn log_out_to_note(&self) -> Option<(Option<Arc<str>>, Option<CookieDigest>)> {
        let run = self.run.as_ref()?;
        if run.state != State::Ending || !self.condition.is_none() {
            return None;
        }
        let content = &run.live.as_ref()?.content;
        let is_noted = content.owner.is_some() || content.flask_cookie.is_some();
        is_noted.then(|| (content.owner.clone(), content.flask_cookie))
    }
}

/// The device that the session is bound to.
#[cfg(feature = "dbsc")]
impl Machine {
    pub(crate) fn set_presented_proofs(&mut self, proofs: PresentedProofs) {
        self.proofs = proofs;
    }

    pub(crate) fn presented_proofs(&self) -> &PresentedProofs {
        &self.proofs
    }

    pub(crate) fn offer_device(&mut self) {
        self.offers_device = true;
    }

    pub(crate) fn offers_device(&self) -> bool {
        self.offers_device
    }
}

#[cfg(test)]
mod tests;
