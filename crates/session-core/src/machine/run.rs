//! A run: one save, reload or end of a request, with all of its data.

use std::{fmt, sync::Arc};

use super::{
    Call, Goal, Login, Saved,
    table::{Event, State, rule_holds},
};
use crate::{
    codec::Dead,
    error::Error,
    expiry::Millis,
    header::IdUse,
    id::Nonce,
    key::StoreKey,
    op::Op,
    record::Record,
    rotation::{Access, Refused, Rotated},
    rules::{Form, Live, Presented},
    short_list::ShortList,
};

/// One save, reload or end of a request. It may take several store calls.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Run {
    pub(super) number: u64,
    /// Whether a caller waits for the result.
    pub(super) awaited: bool,
    pub(super) goal: Goal,
    pub(super) state: State,
    /// The state that follows the turn.
    pub(super) queued_for: State,
    pub(super) attempts: usize,
    pub(super) call: Option<Call>,
    /// The changes that this run stores.
    pub(super) ops: ShortList<Op>,
    pub(super) renew: bool,
    pub(super) extend: bool,
    /// The owner of the session when the run began.
    pub(super) owner: Option<Arc<str>>,
    /// The record that this state works on, as it was last loaded.
    pub(super) live: Option<Arc<Live>>,
    /// The key that this state loads.
    pub(super) key: Option<(StoreKey, Form)>,
    /// The record that is being written, as it will be once it is stored.
    pub(super) written: Option<Arc<Live>>,
    /// The tombstone of a renewal, kept for the second try.
    pub(super) tombstone: Option<Box<Record>>,
    pub(super) candidates: ShortList<Presented>,
    pub(super) candidate: Option<Presented>,
    /// A presented id that was renewed, while the other ids are tried.
    pub(super) late: Option<(StoreKey, Form)>,
    /// The presented id that led to the candidate by rotations.
    pub(super) rotated: Option<Rotated>,
    /// A presented id that was rotated long ago, while the other ids are tried.
    pub(super) refused: Option<Refused>,
    /// What the save has come to, if it is done and this is the rotation after it.
    pub(super) rotates: Option<Saved>,
    /// Why the save was refused, if it was and this is the check of an id that an earlier save is to
    /// send.
    pub(super) refusal: Option<Error>,
    /// The nonce of that rotation.
    pub(super) nonce: Option<Nonce>,
    /// Every tombstone that led to the record was that of a rotation.
    pub(super) only_rotations: bool,
    pub(super) error: Option<Error>,
    pub(super) sends_cookie: bool,
    /// Why this request may not use the live record that was loaded.
    pub(super) not_allowed: Option<NotAllowed>,
    /// A newer record was loaded in this run.
    pub(super) rebased: bool,
    /// The record that this state works on is not stored yet, and may never be.
    pub(super) is_unconfirmed: bool,
    /// The session that is to end is that of [another cookie](super::Ending::Presented).
    pub(super) may_be_dead: bool,
    /// The record that is being written is another session of its owner, whose number is limited, or
    /// ends one.
    pub(super) limited: bool,
    /// The session that is to end is that of a [rotated id](super::Ending::Rotated).
    pub(super) ends_rotated: Option<Refused>,
    /// As [`Machine`](super::Machine) has them.
    pub(super) others: Vec<(StoreKey, Form)>,
    /// This run ended a session, or found that it has ended.
    pub(super) ended: bool,
    /// The session that is to end was found ended.
    pub(super) dead: Option<Dead>,
    /// The application logged out during this run. The session that the run stores must end.
    pub(super) logged_out: bool,
    /// The session that this run stores has ended in the store, so no response sends its id.
    pub(super) forgets_id: bool,
}

/// Why a request may not use a live record.
pub(super) enum NotAllowed {
    /// It belongs to another user.
    OtherOwner,
    /// It is still the request's session, but another request changed it before this request's
    /// login.
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
            ops: ShortList::default(),
            renew: false,
            extend: false,
            owner: None,
            live: None,
            key: None,
            written: None,
            tombstone: None,
            candidates: ShortList::default(),
            candidate: None,
            late: None,
            rotated: None,
            refused: None,
            rotates: None,
            refusal: None,
            nonce: None,
            only_rotations: true,
            error: None,
            sends_cookie: false,
            not_allowed: None,
            rebased: false,
            is_unconfirmed: false,
            may_be_dead: false,
            limited: false,
            ends_rotated: None,
            others: Vec::new(),
            ended: false,
            dead: None,
            logged_out: false,
            forgets_id: false,
        }
    }

    /// What the request may do with the record of a candidate. `rotated` led to it; `owner` and
    /// `id_use` are those of the record.
    pub(super) fn admit(
        &mut self,
        rotated: Option<&Rotated>,
        owner: Option<&Arc<str>>,
        id_use: Option<IdUse>,
        now: Millis,
    ) -> Option<Access> {
        let Some(rotated) = rotated else {
            return Some(Access::Own);
        };
        match rotated.access(owner, id_use, now) {
            Ok(access) => Some(access),
            Err(refused) => {
                self.refused.get_or_insert(refused);
                None
            }
        }
    }

    /// Whether the run gives the session a new id because the application asks for it.
    pub(super) fn renews(&self) -> bool {
        self.renew || (Op::login(&self.ops).is_some() && rule_holds!(LoginRenews))
    }

    pub(super) fn next_candidate(&mut self) -> Option<Call> {
        let candidate = self.candidates.take_first()?;
        let call = Call::Load(candidate.key.clone());
        self.candidate = Some(candidate);
        Some(call)
    }

    /// The compare-and-set that replaces the renewed record by its tombstone.
    pub(super) fn reforward(&self) -> Option<Call> {
        let live = self.live.as_ref()?;
        Some(Call::Update(
            live.key.clone(),
            self.tombstone.as_deref()?.clone(),
            live.revision.clone(),
        ))
    }

    /// Whether the form of the record has no tombstones.
    pub(super) fn lacks_tombstones(&self) -> bool {
        self.live
            .as_ref()
            .is_some_and(|live| !live.form.has_tombstones())
    }

    /// The event for a write that was stored.
    pub(super) fn stored_event(&self) -> Event {
        let written = self.written.as_ref();
        let listed = written.is_some_and(|new| new.times.indexed_until.is_some());
        let provisional = written.is_some_and(|new| new.times.provisional);
        match self.state {
            State::Inserting | State::Copying | State::Ending if self.limited => {
                Event::StoredLimited
            }
            State::Confirming if self.took_from_another_owner() => Event::StoredLimited,
            State::Updating if self.lacks_tombstones() && written.is_none() => Event::StoredNil,
            State::Forwarding | State::ForwardingAgain | State::Ending
                if self.lacks_tombstones() =>
            {
                Event::StoredNil
            }
            State::Forwarding | State::ForwardingAgain if provisional => Event::StoredProvisional,
            State::Forwarding | State::ForwardingAgain if listed => Event::StoredListed,
            _ => Event::Stored,
        }
    }

    /// Whether the login replaced the record of another user.
    fn took_from_another_owner(&self) -> bool {
        let owner = |it: &Option<Arc<Live>>| it.as_ref().and_then(|it| it.content.owner.clone());
        let before = owner(&self.live);
        before.is_some() && before != owner(&self.written)
    }

    /// Whose session is to end, or has ended.
    pub(super) fn whose_end(&self) -> Option<Dead> {
        let of_live = |live: &Arc<Live>| {
            let lineage = live.content.lineage?;
            let owner = live.content.owner.clone();
            Some(Dead { owner, lineage })
        };
        self.dead.clone().or_else(|| of_live(self.live.as_ref()?))
    }

    /// The event for a call that failed.
    pub(super) fn failed_event(&self) -> Event {
        match self.state {
            State::ForwardingAgain | State::CheckingWinner if self.limited => Event::FailedAdmitted,
            _ => Event::Failed,
        }
    }

    /// The event for a login that was admitted.
    pub(super) fn admitted_event(&self) -> Event {
        if self.live.is_some() {
            Event::AdmittedCopy
        } else {
            Event::Admitted
        }
    }

    /// The login whose record was written.
    pub(super) fn login(&self) -> Option<Login> {
        let new = self.written.as_ref()?;
        Some(Login {
            owner: new.content.owner.clone()?,
            key: new.key.clone(),
            lineage: new.content.lineage?,
            renews: self.live.is_some(),
            expires_at: new.times.expires_at?,
        })
    }

    /// Whether entering `state` counts as another attempt. Only such states could repeat without
    /// end: because ids are taken, or because one tombstone leads to the next.
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
