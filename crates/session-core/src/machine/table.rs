//! The states of one request's session, and the transition for each event, as a table.
//!
//! This file knows no store, no clock and no data. `cargo run -p session-core --features model
//! --example state_table` makes the table and the diagram in `ARCHITECTURE.md` from it.

use self::{Event as E, Next as N, RunEnd as O, State as S};

/// The store call that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Nothing.
    Idle,
    /// Loads the record of an id that the request presented.
    Opening,
    /// Loads the record again, because the application called `reload`.
    Reloading,
    /// Inserts the first record of a session under a new id.
    Inserting,
    /// Replaces the record by one with the request's changes.
    Updating,
    /// Loads the record that another request changed first. If it was forwarded, loads its
    /// successor.
    Rebasing,
    /// Replaces the record by one with a later expiry and the same content.
    Refreshing,
    /// Loads the record whose refresh was refused, to see whether the cookie may be sent.
    CheckingRefresh,
    /// Loads the record whose id the response is to carry, to see whether it is still the
    /// session's.
    CheckingId,
    /// Inserts the record of a renewal or of a rotation under a new id.
    Copying,
    /// Finds out whether the login whose record was inserted is within the limit of its owner's
    /// sessions, and ends others if the settings say so.
    Admitting,
    /// Replaces the new record, which is provisional, by one that counts to the limit.
    Confirming,
    /// Ends what a renewal that failed may have left of the session of the user before, whose number
    /// is limited.
    EndingFormer,
    /// Replaces the new record of a login that was not admitted by the tombstone of an ended
    /// session.
    Withdrawing,
    /// Replaces the renewed record by a tombstone that names the new record.
    Forwarding,
    /// Sends the same write once more, because its first answer was lost.
    ForwardingAgain,
    /// Loads the renewed record to see which request replaced it.
    CheckingWinner,
    /// Loads the new record. The owner's index has named it since the insert, so "log out
    /// everywhere", or another login, may have ended it.
    CheckingNew,
    /// Deletes the renewed record of Flask's form, which holds nil.
    DeletingRenewed,
    /// Deletes the new record of a renewal that has to start again.
    DiscardingToRetry,
    /// Deletes the new record of a renewal that lost to another request.
    DiscardingToFollow,
    /// Loads the record that is to end.
    LoadingToEnd,
    /// Replaces the record by the tombstone of an ended session.
    Ending,
    /// Ends what a renewal that failed may have left of the ended session, which its owner's index
    /// names.
    EndingCopies,
    /// Deletes the ended record of Flask's form, which holds nil.
    DeletingEnded,
    /// Deletes the emptied record of Flask's form, which holds nil.
    DeletingEmptied,
    /// Waits for its turn at the key. The state that needed the turn follows.
    Queued,
}

/// What happens: the work that a save finds when it begins, or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    // The work of a save, found while nothing is under way.
    /// Nothing.
    NothingToDo,
    /// A session is to end, and its live record was loaded.
    EndsLive,
    /// A session is to end, and its record was not loaded yet.
    EndsUnloaded,
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
    /// The application called `reload`.
    ReloadRequested,
    /// The save is done, and the id is to be rotated.
    RotationDue,
    /// A cookie is needed, but the head was sent.
    NeedsSentHead,
    /// The request arrived with a renewed id, and changes something.
    ArrivedLate,
    /// The session has ended, and the request changes something.
    ChangesEnded,
    /// The session could not be loaded, and the request changes something.
    ChangesNotLoaded,

    // What a load finds.
    /// A live session that this request may use.
    Live,
    /// A live session that this request may use, and nothing is left to write.
    LiveUnchanged,
    /// A live session whose record is provisional.
    LiveProvisional,
    /// A live session that this request is to renew: rotations led to it, which a renewal or a login
    /// outlasts.
    LiveToRenew,
    /// A live session that this request may not use or end, because it belongs to another user, or
    /// because the log-out keeps it.
    LiveOfOther,
    /// A tombstone that names the record of this renewal.
    ForwardedToOurs,
    /// A tombstone that names another record.
    Forwarded,
    /// The tombstone of a rotation, when the request presented the id and may go on.
    Rotated,
    /// The tombstone of an ended session.
    Ended,
    /// The same, and the number of its owner's sessions is limited.
    EndedLimited,
    /// No record, or Flask's nil.
    Absent,
    /// A damaged record, or one that a later release wrote.
    Unreadable,
    /// No live record, and the request presented another id.
    TryNext,

    // The result of a write or of a turn.
    Stored,
    /// Stored, and the owner's index named the new record before.
    StoredListed,
    /// Stored, and the number of the owner's sessions is limited.
    StoredLimited,
    /// Stored, and the new record is provisional.
    StoredProvisional,
    /// Stored, and the record is Flask's nil now.
    StoredNil,
    Refused,
    /// The call failed, or it is unknown whether it was carried out.
    Failed,
    /// As *Failed*, for a login that was admitted.
    FailedAdmitted,
    /// The login is within the limit, and the session had no record before.
    Admitted,
    /// The login is within the limit, and the record before is to be replaced.
    AdmittedCopy,
    /// The record was deleted, or its copies ended. If that failed, they stay until they expire.
    Deleted,
    /// The turn has come, or the wait was too long.
    Turn,
}

/// What follows an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    /// Enter that state.
    Go(State),
    /// Wait for a turn at the key, then enter that state. The number of turns is bounded.
    Queue(State),
    /// Look for the next work of the save.
    Again,
    /// End the run.
    Done(RunEnd),
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RunEnd {
    /// The session was loaded.
    Opened,
    /// The id was renewed. The request is anonymous and may not change anything.
    Late,
    /// There is no session. The first change creates one.
    Anonymous,
    /// The record cannot be read. The session reads as empty.
    Damaged,
    /// The changes are stored.
    Stored,
    /// The changes are stored under a new id, which the response carries.
    StoredUnderNewId,
    /// The changes are stored, but another request renewed the session since. Its response carries
    /// the id.
    StoredElsewhere,
    /// There was nothing to store.
    Unchanged,
    /// The expiry has moved.
    Refreshed,
    /// The expiry could not be moved. This does not fail the request.
    NotRefreshed,
    /// The id is still the session's, and may be sent.
    StillLive,
    /// The stored session was loaded again.
    Reloaded,
    /// The session continues under an id that another response carries.
    Followed,
    /// The session ended, or belongs to another user. The changes are dropped; a dropped login is
    /// an error.
    ChangesDropped,
    /// The session that was to end belongs to another user, or the log-out keeps it.
    NotEnded,
    /// An error: the record is absent, and there is no tombstone.
    Missing,
    /// An error: the record cannot be read.
    Unreadable,
    /// An error: a call failed, or it is unknown whether a write was carried out.
    Failed,
    /// An error: a cookie is needed after the head.
    HeadSent,
    /// An error: the request arrived with a renewed id.
    Conflict,
    /// An error: the session could not be loaded.
    NotLoaded,
}

/// Every transition.
pub(crate) const TRANSITIONS: &[(State, Event, Next)] = &[
    // The session of a request. If a presented id is not live, the next one is tried.
    (S::Opening, E::Live, N::Done(O::Opened)),
    (S::Opening, E::TryNext, N::Go(S::Opening)),
    // The id after a rotated one is tried.
    (S::Opening, E::Rotated, N::Go(S::Opening)),
    (S::Opening, E::Forwarded, N::Done(O::Late)),
    (S::Opening, E::Ended, N::Done(O::Anonymous)),
    (S::Opening, E::Absent, N::Done(O::Anonymous)),
    (S::Opening, E::Unreadable, N::Done(O::Damaged)),
    (S::Opening, E::Failed, N::Done(O::Failed)),
    // The work of a save.
    (S::Idle, E::NothingToDo, N::Done(O::Unchanged)),
    (S::Idle, E::EndsLive, N::Go(S::Ending)),
    (S::Idle, E::EndsUnloaded, N::Go(S::LoadingToEnd)),
    (S::Idle, E::HasData, N::Go(S::Inserting)),
    (S::Idle, E::HasChanges, N::Go(S::Updating)),
    (S::Idle, E::HasChangesInQueue, N::Queue(S::Rebasing)),
    (S::Idle, E::Renews, N::Go(S::Copying)),
    (S::Idle, E::RefreshDue, N::Go(S::Refreshing)),
    (S::Idle, E::CookiePending, N::Go(S::CheckingId)),
    (S::Idle, E::ReloadRequested, N::Go(S::Reloading)),
    // If it fails, the save has succeeded all the same.
    (S::Idle, E::RotationDue, N::Go(S::Copying)),
    (S::Idle, E::NeedsSentHead, N::Done(O::HeadSent)),
    (S::Idle, E::ArrivedLate, N::Done(O::Conflict)),
    (S::Idle, E::ChangesEnded, N::Done(O::ChangesDropped)),
    (S::Idle, E::ChangesNotLoaded, N::Done(O::NotLoaded)),
    // The first record. If the id is taken, another one is tried.
    (S::Inserting, E::Stored, N::Done(O::StoredUnderNewId)),
    (S::Inserting, E::StoredLimited, N::Go(S::Admitting)),
    (S::Inserting, E::Refused, N::Go(S::Inserting)),
    (S::Inserting, E::Failed, N::Done(O::Failed)),
    // A change. If it is refused, it is replayed on what another request stored. If its answer is
    // lost, it is never sent again.
    (S::Updating, E::Stored, N::Done(O::Stored)),
    (S::Updating, E::StoredNil, N::Go(S::DeletingEmptied)),
    (S::Updating, E::Refused, N::Queue(S::Rebasing)),
    (S::Updating, E::Failed, N::Done(O::Failed)),
    (S::Rebasing, E::Live, N::Go(S::Updating)),
    (S::Rebasing, E::LiveUnchanged, N::Done(O::Followed)),
    // A rotation gives the old id a grace, which a renewal or a login must not leave it.
    (S::Rebasing, E::LiveToRenew, N::Go(S::Copying)),
    (S::Rebasing, E::LiveOfOther, N::Done(O::ChangesDropped)),
    (S::Rebasing, E::Forwarded, N::Go(S::Rebasing)),
    (S::Rebasing, E::Ended, N::Done(O::ChangesDropped)),
    (S::Rebasing, E::Absent, N::Done(O::Missing)),
    (S::Rebasing, E::Unreadable, N::Done(O::Unreadable)),
    (S::Rebasing, E::Failed, N::Done(O::Failed)),
    (S::DeletingEmptied, E::Deleted, N::Done(O::Stored)),
    // A refresh. If it is refused, another request moved the expiry or ended the session. Flask's
    // profile still sends the cookie then.
    (S::Refreshing, E::Stored, N::Done(O::Refreshed)),
    (S::Refreshing, E::Refused, N::Go(S::CheckingRefresh)),
    (S::Refreshing, E::Failed, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Live, N::Done(O::StillLive)),
    (S::CheckingRefresh, E::Forwarded, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Ended, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Absent, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Unreadable, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Failed, N::Done(O::NotRefreshed)),
    // No response sends an id that had ended or was renewed when the record was last loaded.
    (S::CheckingId, E::Live, N::Done(O::StillLive)),
    (S::CheckingId, E::Forwarded, N::Done(O::Followed)),
    (S::CheckingId, E::Ended, N::Done(O::ChangesDropped)),
    (S::CheckingId, E::Absent, N::Done(O::Missing)),
    (S::CheckingId, E::Unreadable, N::Done(O::Unreadable)),
    (S::CheckingId, E::Failed, N::Done(O::Failed)),
    // A renewal. The new record is inserted before the old one is replaced. So one of several
    // concurrent renewals wins, and the user has a session at every moment.
    (S::Copying, E::Stored, N::Go(S::Forwarding)),
    (S::Copying, E::StoredLimited, N::Go(S::Admitting)),
    (S::Copying, E::Refused, N::Go(S::Copying)),
    (S::Copying, E::Failed, N::Done(O::Failed)),
    // The limit of an owner's sessions. The new record was inserted before, so that of several
    // logins at once each sees the others or is seen by them. The record before is replaced
    // afterwards, so that a login that is refused leaves the session as it was.
    (S::Admitting, E::Admitted, N::Go(S::Confirming)),
    (S::Admitting, E::AdmittedCopy, N::Go(S::Forwarding)),
    (S::Admitting, E::Failed, N::Go(S::Withdrawing)),
    // Until then the record of a login is provisional, so that what is left of one that failed takes
    // nobody's place. If it is refused, another request wrote it, or ended the session.
    (S::Confirming, E::Stored, N::Done(O::StoredUnderNewId)),
    // It took the session of another user, who must not lose a place by it.
    (S::Confirming, E::StoredLimited, N::Go(S::EndingFormer)),
    (S::Confirming, E::Refused, N::Go(S::CheckingNew)),
    (S::Confirming, E::Failed, N::Done(O::Failed)),
    (S::EndingFormer, E::Deleted, N::Go(S::CheckingNew)),
    // It is not deleted: another login that finds it in its list and wants to end it would take an
    // absent record for a lost one.
    (S::Withdrawing, E::Stored, N::Done(O::Failed)),
    (S::Withdrawing, E::Refused, N::Done(O::Failed)),
    (S::Withdrawing, E::Failed, N::Done(O::Failed)),
    (S::Forwarding, E::Stored, N::Done(O::StoredUnderNewId)),
    // "Log out everywhere" may have ended the new record, because the owner's index names it.
    (S::Forwarding, E::StoredListed, N::Go(S::CheckingNew)),
    (S::Forwarding, E::StoredProvisional, N::Go(S::Confirming)),
    (S::Forwarding, E::StoredNil, N::Go(S::DeletingRenewed)),
    (S::Forwarding, E::Refused, N::Queue(S::CheckingWinner)),
    // The only write that may be sent again: it has the same bytes and the same revision, and the
    // tombstone names its writer.
    (S::Forwarding, E::Failed, N::Go(S::ForwardingAgain)),
    (S::ForwardingAgain, E::Stored, N::Done(O::StoredUnderNewId)),
    (S::ForwardingAgain, E::StoredListed, N::Go(S::CheckingNew)),
    (
        S::ForwardingAgain,
        E::StoredProvisional,
        N::Go(S::Confirming),
    ),
    (S::ForwardingAgain, E::StoredNil, N::Go(S::DeletingRenewed)),
    (S::ForwardingAgain, E::Refused, N::Go(S::CheckingWinner)),
    (S::ForwardingAgain, E::Failed, N::Done(O::Failed)),
    // If the record before was replaced all the same, nobody has the id that follows.
    (S::ForwardingAgain, E::FailedAdmitted, N::Go(S::Withdrawing)),
    (S::CheckingWinner, E::ForwardedToOurs, N::Go(S::CheckingNew)),
    (S::CheckingWinner, E::Live, N::Go(S::DiscardingToRetry)),
    (
        S::CheckingWinner,
        E::Forwarded,
        N::Go(S::DiscardingToFollow),
    ),
    (S::CheckingWinner, E::Ended, N::Go(S::DiscardingToFollow)),
    (S::CheckingWinner, E::Absent, N::Go(S::DiscardingToFollow)),
    (S::CheckingWinner, E::Unreadable, N::Done(O::Unreadable)),
    (S::CheckingWinner, E::Failed, N::Done(O::Failed)),
    (S::CheckingWinner, E::FailedAdmitted, N::Go(S::Withdrawing)),
    (S::CheckingNew, E::Live, N::Done(O::StoredUnderNewId)),
    (S::CheckingNew, E::LiveProvisional, N::Go(S::Confirming)),
    (S::CheckingNew, E::Forwarded, N::Done(O::StoredElsewhere)),
    (S::CheckingNew, E::Ended, N::Done(O::ChangesDropped)),
    (S::CheckingNew, E::Absent, N::Done(O::Missing)),
    (S::CheckingNew, E::Unreadable, N::Done(O::Unreadable)),
    (S::CheckingNew, E::Failed, N::Done(O::Failed)),
    (S::DeletingRenewed, E::Deleted, N::Done(O::StoredUnderNewId)),
    (S::DiscardingToRetry, E::Deleted, N::Go(S::Copying)),
    // If a renewal loses to another one, its changes are stored in the winner's record.
    (S::DiscardingToFollow, E::Deleted, N::Go(S::Rebasing)),
    // A log-out replaces the record, and does not delete it: a concurrent renewal would continue
    // otherwise.
    (S::LoadingToEnd, E::Live, N::Go(S::Ending)),
    (S::LoadingToEnd, E::LiveOfOther, N::Done(O::NotEnded)),
    (S::LoadingToEnd, E::Forwarded, N::Go(S::LoadingToEnd)),
    (S::LoadingToEnd, E::Ended, N::Again),
    // Whoever ended it may have failed to end its copies.
    (S::LoadingToEnd, E::EndedLimited, N::Go(S::EndingCopies)),
    (S::LoadingToEnd, E::Absent, N::Done(O::Missing)),
    (S::LoadingToEnd, E::Unreadable, N::Done(O::Unreadable)),
    (S::LoadingToEnd, E::Failed, N::Done(O::Failed)),
    (S::Ending, E::Stored, N::Again),
    (S::Ending, E::StoredLimited, N::Go(S::EndingCopies)),
    (S::Ending, E::StoredNil, N::Go(S::DeletingEnded)),
    (S::Ending, E::Refused, N::Queue(S::LoadingToEnd)),
    (S::Ending, E::Failed, N::Done(O::Failed)),
    (S::DeletingEnded, E::Deleted, N::Again),
    (S::EndingCopies, E::Deleted, N::Again),
    // A reload.
    (S::Reloading, E::Live, N::Done(O::Reloaded)),
    (S::Reloading, E::LiveOfOther, N::Done(O::ChangesDropped)),
    (S::Reloading, E::Forwarded, N::Go(S::Reloading)),
    (S::Reloading, E::Ended, N::Done(O::ChangesDropped)),
    (S::Reloading, E::Absent, N::Done(O::Missing)),
    (S::Reloading, E::Unreadable, N::Done(O::Unreadable)),
    (S::Reloading, E::Failed, N::Done(O::Failed)),
];

/// Whether a rule holds. With the feature `model` a test may break a rule, to prove that other
/// tests notice.
macro_rules! rule_holds {
    ($rule:ident) => {{
        #[cfg(feature = "model")]
        let holds = $crate::model::rule_holds($crate::model::Rule::$rule);
        #[cfg(not(feature = "model"))]
        let holds = true;
        holds
    }};
}
pub(crate) use rule_holds;

/// Counts that `event` happened in `state`, for the tests.
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

/// What follows when `event` happens in `state`. `None` if it cannot happen.
pub(crate) fn next(state: State, event: Event) -> Option<Next> {
    #[cfg(feature = "model")]
    if let Some(next) = crate::model::broken_row(state, event) {
        return Some(next);
    }
    BY_STATE[state as usize][event as usize]
}
