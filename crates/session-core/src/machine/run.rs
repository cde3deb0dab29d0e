use std::{fmt, sync::Arc};

use super::{
    Call, Goal,
    table::{Event, State},
};
use crate::{
    error::Error,
    key::StoreKey,
    op::Op,
    record::Record,
    rules::{Form, Live, Presented},
};

/// A piece of work that takes calls of the store.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Run {
    pub(super) number: u64,
    /// Whether somebody waits for its result.
    pub(super) awaited: bool,
    pub(super) goal: Goal,
    pub(super) state: State,
    /// What follows a turn.
    pub(super) queued_for: State,
    pub(super) attempts: usize,
    pub(super) call: Option<Call>,
    /// What is to be stored.
    pub(super) ops: Vec<Op>,
    pub(super) renew: bool,
    pub(super) extend: bool,
    /// Whose session it was when the request loaded it.
    pub(super) owner: Option<Arc<str>>,
    /// What the present step is about: the record as it was last seen.
    pub(super) live: Option<Arc<Live>>,
    /// The key that is being looked at.
    pub(super) key: Option<(StoreKey, Form)>,
    /// The record being written, as it is once it is stored.
    pub(super) written: Option<Arc<Live>>,
    /// The tombstone of a renewal, for its second try.
    pub(super) tombstone: Option<Box<Record>>,
    pub(super) candidates: Vec<Presented>,
    pub(super) candidate: Option<Presented>,
    /// A presented id that was renewed, while others are tried.
    pub(super) late: Option<(StoreKey, Form)>,
    pub(super) error: Option<Error>,
    pub(super) sends_cookie: bool,
    /// The live record that was found is not for this request: another user's, or that of a session whose login was lost.
    pub(super) not_allowed: Option<NotAllowed>,
    /// The record was loaded again.
    pub(super) rebased: bool,
    /// What is to end is over by this process's clock, and may be gone.
    pub(super) ends_expired: bool,
    /// Presented ids whose sessions are over.
    pub(super) expired: Vec<(StoreKey, Form)>,
    /// It ended a session, or found it ended.
    pub(super) ended: bool,
    /// The session was logged_out while this run was under way: what comes of it is to end.
    pub(super) logged_out: bool,
    /// What comes of it is known to have ended, so that no answer sends its id.
    pub(super) forgets_id: bool,
}

/// Why a request may not go on as it wants with a live record.
pub(super) enum NotAllowed {
    /// It is another user's.
    OtherOwner,
    /// It still is the session that the request loaded, but the request's login was overtaken.
    LoginOvertaken,
}

impl Run {
    pub(super) fn new(number: u64, goal: Goal) -> Self {
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
            not_allowed: None,
            rebased: false,
            ends_expired: false,
            expired: Vec::new(),
            ended: false,
            logged_out: false,
            forgets_id: false,
        }
    }

    pub(super) fn next_candidate(&mut self) -> Option<Call> {
        let candidate = self.candidates.pop()?;
        let call = Call::Load(candidate.key.clone());
        self.candidate = Some(candidate);
        Some(call)
    }

    /// The compare-and-set of a renewal.
    pub(super) fn reforward(&self) -> Option<Call> {
        let live = self.live.as_ref()?;
        Some(Call::Update(
            live.key.clone(),
            self.tombstone.as_deref()?.clone(),
            live.revision.clone(),
        ))
    }

    /// Whether the record in question has no tombstones.
    pub(super) fn lacks_tombstones(&self) -> bool {
        self.live
            .as_ref()
            .is_some_and(|live| !live.form.has_tombstones())
    }

    /// Which event it is that the write under way is stored.
    pub(super) fn stored_event(&self) -> Event {
        let written = self.written.as_ref();
        let listed = written.is_some_and(|new| new.times.indexed_until.is_some());
        match self.state {
            State::Updating if self.lacks_tombstones() && written.is_none() => Event::StoredNil,
            State::Forwarding | State::ForwardingAgain | State::Ending
                if self.lacks_tombstones() =>
            {
                Event::StoredNil
            }
            State::Inserting | State::Forwarding | State::ForwardingAgain if listed => {
                Event::StoredListed
            }
            _ => Event::Stored,
        }
    }

    /// States that could be taken up without end: a taken id, a tombstone after another.
    pub(super) fn counts_as_attempt(&self, state: State) -> bool {
        match state {
            State::Inserting => self.written.is_some(),
            State::Copying => self.written.is_some() || self.attempts > 0,
            State::Rebasing | State::LoadingToEnd | State::Reloading => self.live.is_some(),
            _ => false,
        }
    }
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
