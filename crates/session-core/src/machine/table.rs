//! The states of one request's session, and what follows from each event: every transition is a row here.
//!
//! This file knows no store, no clock and no data: which event an answer of the store is, and what a state asks the store
//! for, is said in `machine.rs`. The table and the diagram in `ARCHITECTURE.md` are made from it by
//! `cargo run -p session-core --example state_table`.

use self::{Event as E, Next as N, RunEnd as O, State as S};

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Nothing.
    Idle,
    /// Loads the record of an id that the request presented.
    Opening,
    /// Loads the record again, because the application asked for it.
    Reloading,
    /// Inserts the first record of a session under a new id.
    Inserting,
    /// Replaces the record by one with the request's changes.
    Updating,
    /// Loads the record that another request changed first, and follows it to where it was forwarded.
    Rebasing,
    /// Moves the record's expiry, nothing else.
    Refreshing,
    /// Loads a record of Flask's whose refresh was refused.
    Rechecking,
    /// Loads the record whose id an earlier save is to send, to see that it still is the session's.
    Verifying,
    /// Inserts the record of a renewal under a new id.
    Copying,
    /// Replaces the renewed record by a tombstone that names the new one.
    Forwarding,
    /// The same write once more, because its first answer was lost.
    Reforwarding,
    /// Loads the renewed record to see who replaced it.
    Checking,
    /// Loads the new record: the owner's index names it since it was inserted, so it may have been ended.
    Confirming,
    /// Deletes the renewed record of Flask's form, which is nil by now.
    DeletingRenewed,
    /// Deletes the new record of a renewal that has to start again.
    DiscardingCopy,
    /// Deletes the new record of a renewal that lost to another request.
    DiscardingLoser,
    /// Loads the record that is to end.
    Finding,
    /// Replaces the record by the tombstone of an ended session.
    Ending,
    /// Deletes the ended record of Flask's form, which is nil by now.
    DeletingEnded,
    /// Deletes the record of Flask's form that was emptied, which is nil by now.
    DeletingEmptied,
    /// Waits for its turn at the key; what it waited for comes next.
    Queued,
}

/// What happens: the application's wish when a save begins, or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    // What a save finds to be done, while nothing is under way.
    /// Nothing.
    NothingToDo,
    /// A session is to end, whose record was seen live.
    EndsLive,
    /// A session is to end, whose record must be found first.
    EndsUnseen,
    /// A session without a record has data.
    HasData,
    /// There are changes.
    HasChanges,
    /// There are changes, and other requests of this process wait at the key.
    HasChangesInQueue,
    /// There is a renewal or a login.
    Renews,
    /// The expiry or the cookie is due.
    RefreshDue,
    /// An earlier save is to send the id.
    CookiePending,
    /// The application asks for what is stored.
    WantsReload,
    /// A cookie would be needed, and the head was sent.
    AfterHead,
    /// The request came with an id that was renewed, and changes something.
    ArrivedLate,
    /// The session has ended for this request, which changes something.
    ChangesEnded,
    /// The session could not be loaded, and the request changes something.
    ChangesUnknown,

    // What a load finds.
    /// A live session that this request may go on with.
    Live,
    /// The same, and nothing of the request is left to write.
    LiveUnchanged,
    /// A live session of another user, or one that is to be kept.
    Foreign,
    /// A tombstone that names the record of this very renewal.
    ForwardedToOurs,
    /// A tombstone that names another record.
    Forwarded,
    /// The tombstone of an ended session.
    Ended,
    /// Nothing, or what stands for nothing.
    Absent,
    /// A record that is damaged, or that a later release wrote.
    Unreadable,
    /// None that is live, and the request presented another id.
    TryNext,

    // How a write ends.
    Stored,
    /// Stored, and others could find the new record before.
    StoredListed,
    /// Stored, and the record stands for no session now.
    StoredNil,
    Refused,
    /// The outcome is unknown, or the call failed.
    Failed,
    /// The record was deleted, or stays until it expires.
    Deleted,
    /// The turn has come, or was waited for long enough.
    Turn,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    /// Goes on in that state.
    Go(State),
    /// Waits for its turn at the key, then goes on in that state. The number of turns is bounded.
    Queue(State),
    /// Looks again for what is to be done.
    Again,
    /// It is over.
    Done(RunEnd),
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RunEnd {
    /// The session is the one found.
    Opened,
    /// The id was renewed: the request is anonymous, and may not change anything.
    Late,
    /// There is no session; a first change makes one.
    Anonymous,
    /// The record cannot be read; to reading it counts as absent.
    Damaged,
    /// The changes are stored.
    Stored,
    /// Stored, under a new id that the answer carries.
    StoredUnderNewId,
    /// Stored, and the session was renewed by another request since: another answer carries the id.
    StoredElsewhere,
    /// There was nothing to store.
    Unchanged,
    /// The expiry has moved.
    Refreshed,
    /// The expiry could not be moved, which fails no request.
    Unrefreshed,
    /// The id that was to be sent is still the session's.
    Verified,
    /// What is stored now was loaded.
    Reloaded,
    /// The session goes on under an id that another answer carries.
    Followed,
    /// The session ended, or is another user's: the changes are dropped. A login is an error.
    Dropped,
    /// The session that was to end is another user's, or is to be kept.
    Kept,
    /// An error: the record is gone, and nothing tells why.
    Missing,
    /// An error: the record cannot be read.
    Unreadable,
    /// An error: the outcome of a write is unknown, or a call failed.
    Failed,
    /// An error: a cookie would be needed after the head.
    HeadSent,
    /// An error: the id was renewed.
    Conflict,
    /// An error: the session could not be loaded.
    NotLoaded,
}

/// Every transition there is.
pub(crate) const TRANSITIONS: &[(State, Event, Next)] = &[
    // The session of a request. A presented id that is not live gives way to the next.
    (S::Opening, E::Live, N::Done(O::Opened)),
    (S::Opening, E::TryNext, N::Go(S::Opening)),
    (S::Opening, E::Forwarded, N::Done(O::Late)),
    (S::Opening, E::Ended, N::Done(O::Anonymous)),
    (S::Opening, E::Absent, N::Done(O::Anonymous)),
    (S::Opening, E::Unreadable, N::Done(O::Damaged)),
    (S::Opening, E::Failed, N::Done(O::Failed)),
    // What a save finds to be done.
    (S::Idle, E::NothingToDo, N::Done(O::Unchanged)),
    (S::Idle, E::EndsLive, N::Go(S::Ending)),
    (S::Idle, E::EndsUnseen, N::Go(S::Finding)),
    (S::Idle, E::HasData, N::Go(S::Inserting)),
    (S::Idle, E::HasChanges, N::Go(S::Updating)),
    (S::Idle, E::HasChangesInQueue, N::Queue(S::Rebasing)),
    (S::Idle, E::Renews, N::Go(S::Copying)),
    (S::Idle, E::RefreshDue, N::Go(S::Refreshing)),
    (S::Idle, E::CookiePending, N::Go(S::Verifying)),
    (S::Idle, E::WantsReload, N::Go(S::Reloading)),
    (S::Idle, E::AfterHead, N::Done(O::HeadSent)),
    (S::Idle, E::ArrivedLate, N::Done(O::Conflict)),
    (S::Idle, E::ChangesEnded, N::Done(O::Dropped)),
    (S::Idle, E::ChangesUnknown, N::Done(O::NotLoaded)),
    // The first record. A taken id only costs another try.
    (S::Inserting, E::Stored, N::Done(O::StoredUnderNewId)),
    (S::Inserting, E::Refused, N::Go(S::Inserting)),
    (S::Inserting, E::Failed, N::Done(O::Failed)),
    // A change. Refused: made again on what another request stored. Unknown: never sent again.
    (S::Updating, E::Stored, N::Done(O::Stored)),
    (S::Updating, E::StoredNil, N::Go(S::DeletingEmptied)),
    (S::Updating, E::Refused, N::Queue(S::Rebasing)),
    (S::Updating, E::Failed, N::Done(O::Failed)),
    (S::Rebasing, E::Live, N::Go(S::Updating)),
    (S::Rebasing, E::LiveUnchanged, N::Done(O::Followed)),
    (S::Rebasing, E::Foreign, N::Done(O::Dropped)),
    (S::Rebasing, E::Forwarded, N::Go(S::Rebasing)),
    (S::Rebasing, E::Ended, N::Done(O::Dropped)),
    (S::Rebasing, E::Absent, N::Done(O::Missing)),
    (S::Rebasing, E::Unreadable, N::Done(O::Unreadable)),
    (S::Rebasing, E::Failed, N::Done(O::Failed)),
    (S::DeletingEmptied, E::Deleted, N::Done(O::Stored)),
    // A refresh. Refused: whoever changed the record moved its expiry, or ended it; Flask's contract wants the cookie.
    (S::Refreshing, E::Stored, N::Done(O::Refreshed)),
    (S::Refreshing, E::Refused, N::Go(S::Rechecking)),
    (S::Refreshing, E::Failed, N::Done(O::Unrefreshed)),
    (S::Rechecking, E::Live, N::Done(O::Verified)),
    (S::Rechecking, E::Forwarded, N::Done(O::Unrefreshed)),
    (S::Rechecking, E::Ended, N::Done(O::Unrefreshed)),
    (S::Rechecking, E::Absent, N::Done(O::Unrefreshed)),
    (S::Rechecking, E::Unreadable, N::Done(O::Unrefreshed)),
    (S::Rechecking, E::Failed, N::Done(O::Unrefreshed)),
    // No answer sends an id that was ended or renewed before the answer's last look.
    (S::Verifying, E::Live, N::Done(O::Verified)),
    (S::Verifying, E::Forwarded, N::Done(O::Followed)),
    (S::Verifying, E::Ended, N::Done(O::Dropped)),
    (S::Verifying, E::Absent, N::Done(O::Missing)),
    (S::Verifying, E::Unreadable, N::Done(O::Unreadable)),
    (S::Verifying, E::Failed, N::Done(O::Failed)),
    // A renewal: the new record first, then the old one is replaced, so that of many at once one wins and no moment leaves
    // the user without a session.
    (S::Copying, E::Stored, N::Go(S::Forwarding)),
    (S::Copying, E::Refused, N::Go(S::Copying)),
    (S::Copying, E::Failed, N::Done(O::Failed)),
    (S::Forwarding, E::Stored, N::Done(O::StoredUnderNewId)),
    // A log-out everywhere may have ended the new record, which the owner's index names by now.
    (S::Forwarding, E::StoredListed, N::Go(S::Confirming)),
    (S::Forwarding, E::StoredNil, N::Go(S::DeletingRenewed)),
    (S::Forwarding, E::Refused, N::Queue(S::Checking)),
    // The one write that may be sent again: the same bytes at the same revision, and the tombstone names its writer.
    (S::Forwarding, E::Failed, N::Go(S::Reforwarding)),
    (S::Reforwarding, E::Stored, N::Done(O::StoredUnderNewId)),
    (S::Reforwarding, E::StoredListed, N::Go(S::Confirming)),
    (S::Reforwarding, E::StoredNil, N::Go(S::DeletingRenewed)),
    (S::Reforwarding, E::Refused, N::Go(S::Checking)),
    (S::Reforwarding, E::Failed, N::Done(O::Failed)),
    (S::Checking, E::ForwardedToOurs, N::Go(S::Confirming)),
    (S::Checking, E::Live, N::Go(S::DiscardingCopy)),
    (S::Checking, E::Forwarded, N::Go(S::DiscardingLoser)),
    (S::Checking, E::Ended, N::Go(S::DiscardingLoser)),
    (S::Checking, E::Absent, N::Go(S::DiscardingLoser)),
    (S::Checking, E::Unreadable, N::Done(O::Unreadable)),
    (S::Checking, E::Failed, N::Done(O::Failed)),
    (S::Confirming, E::Live, N::Done(O::StoredUnderNewId)),
    (S::Confirming, E::Forwarded, N::Done(O::StoredElsewhere)),
    (S::Confirming, E::Ended, N::Done(O::Dropped)),
    (S::Confirming, E::Absent, N::Done(O::Missing)),
    (S::Confirming, E::Unreadable, N::Done(O::Unreadable)),
    (S::Confirming, E::Failed, N::Done(O::Failed)),
    (S::DeletingRenewed, E::Deleted, N::Done(O::StoredUnderNewId)),
    (S::DiscardingCopy, E::Deleted, N::Go(S::Copying)),
    // The changes of a renewal that lost follow the session.
    (S::DiscardingLoser, E::Deleted, N::Go(S::Rebasing)),
    // To end is not to delete: a renewal beside it would go on.
    (S::Finding, E::Live, N::Go(S::Ending)),
    (S::Finding, E::Foreign, N::Done(O::Kept)),
    (S::Finding, E::Forwarded, N::Go(S::Finding)),
    (S::Finding, E::Ended, N::Again),
    (S::Finding, E::Absent, N::Done(O::Missing)),
    (S::Finding, E::Unreadable, N::Done(O::Unreadable)),
    (S::Finding, E::Failed, N::Done(O::Failed)),
    (S::Ending, E::Stored, N::Again),
    (S::Ending, E::StoredNil, N::Go(S::DeletingEnded)),
    (S::Ending, E::Refused, N::Queue(S::Finding)),
    (S::Ending, E::Failed, N::Done(O::Failed)),
    (S::DeletingEnded, E::Deleted, N::Again),
    // What the application asked to see.
    (S::Reloading, E::Live, N::Done(O::Reloaded)),
    (S::Reloading, E::Foreign, N::Done(O::Dropped)),
    (S::Reloading, E::Forwarded, N::Go(S::Reloading)),
    (S::Reloading, E::Ended, N::Done(O::Dropped)),
    (S::Reloading, E::Absent, N::Done(O::Missing)),
    (S::Reloading, E::Unreadable, N::Done(O::Unreadable)),
    (S::Reloading, E::Failed, N::Done(O::Failed)),
];

/// Whether a rule holds: with the feature `model` a test may break one, to see that it is noticed.
macro_rules! holds {
    ($rule:ident) => {{
        #[cfg(feature = "model")]
        let holds = $crate::model::holds($crate::model::Rule::$rule);
        #[cfg(not(feature = "model"))]
        let holds = true;
        holds
    }};
}
pub(crate) use holds;

/// Counts that `event` happened in `state`.
pub(crate) fn count(state: State, event: Event) {
    #[cfg(feature = "model")]
    crate::model::count(state, event);
    #[cfg(not(feature = "model"))]
    let _ = (state, event);
}

const STATES: usize = S::Queued as usize + 1;
const EVENTS: usize = E::Turn as usize + 1;

/// The rows by state and event.
static BY_STATE: [[Option<Next>; EVENTS]; STATES] = {
    let mut cells = [[None; EVENTS]; STATES];
    let mut row = 0;
    while row < TRANSITIONS.len() {
        let (state, event, next) = TRANSITIONS[row];
        let cell = &mut cells[state as usize][event as usize];
        assert!(cell.is_none(), "two rows for one event in one state");
        *cell = Some(next);
        row += 1;
    }
    cells
};

/// What follows when `event` happens in `state`; `None` if it cannot.
pub(crate) fn next(state: State, event: Event) -> Option<Next> {
    #[cfg(feature = "model")]
    if let Some(next) = crate::model::broken_row(state, event) {
        return Some(next);
    }
    BY_STATE[state as usize][event as usize]
}
