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
    CheckingRefresh,
    /// Loads the record whose id an earlier save is to send, to see that it still is the session's.
    CheckingId,
    /// Inserts the record of a renewal under a new id.
    Copying,
    /// Replaces the renewed record by a tombstone that names the new one.
    Forwarding,
    /// The same write once more, because its first answer was lost.
    ForwardingAgain,
    /// Loads the renewed record to see who replaced it.
    CheckingWinner,
    /// Loads the new record: the owner's index names it since it was inserted, so it may have been ended.
    CheckingNew,
    /// Deletes the renewed record of Flask's form, which is nil by now.
    DeletingRenewed,
    /// Deletes the new record of a renewal that has to start again.
    DiscardingToRetry,
    /// Deletes the new record of a renewal that lost to another request.
    DiscardingToFollow,
    /// Loads the record that is to end.
    LoadingToEnd,
    /// Replaces the record by the tombstone of an ended session.
    Ending,
    /// Deletes the ended record of Flask's form, which is nil by now.
    DeletingEnded,
    /// Deletes the record of Flask's form that was emptied, which is nil by now.
    DeletingEmptied,
    /// Waits for its turn at the key; what it waited for comes next.
    Queued,
}

/// What happens: the application's work_to_do when a save begins, or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    // What a save finds to be done, while nothing is under way.
    /// Nothing.
    NothingToDo,
    /// A session is to end, whose record was seen live.
    EndsLive,
    /// A session is to end, whose record must be found first.
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
    /// The application asks for what is stored.
    ReloadRequested,
    /// A cookie would be needed, and the head was sent.
    NeedsSentHead,
    /// The request came with an id that was renewed, and changes something.
    ArrivedLate,
    /// The session has ended for this request, which changes something.
    ChangesEnded,
    /// The session could not be loaded, and the request changes something.
    ChangesNotLoaded,

    // What a load finds.
    /// A live session that this request may go on with.
    Live,
    /// The same, and nothing of the request is left to write.
    LiveUnchanged,
    /// A live session of another user, or one that is to be kept.
    LiveOfOther,
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
    NotRefreshed,
    /// The id that was to be sent is still the session's.
    StillLive,
    /// What is stored now was loaded.
    Reloaded,
    /// The session goes on under an id that another answer carries.
    Followed,
    /// The session ended, or is another user's: the changes are dropped. A login is an error.
    ChangesDropped,
    /// The session that was to end is another user's, or is to be kept.
    NotEnded,
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
    (S::Idle, E::EndsUnloaded, N::Go(S::LoadingToEnd)),
    (S::Idle, E::HasData, N::Go(S::Inserting)),
    (S::Idle, E::HasChanges, N::Go(S::Updating)),
    (S::Idle, E::HasChangesInQueue, N::Queue(S::Rebasing)),
    (S::Idle, E::Renews, N::Go(S::Copying)),
    (S::Idle, E::RefreshDue, N::Go(S::Refreshing)),
    (S::Idle, E::CookiePending, N::Go(S::CheckingId)),
    (S::Idle, E::ReloadRequested, N::Go(S::Reloading)),
    (S::Idle, E::NeedsSentHead, N::Done(O::HeadSent)),
    (S::Idle, E::ArrivedLate, N::Done(O::Conflict)),
    (S::Idle, E::ChangesEnded, N::Done(O::ChangesDropped)),
    (S::Idle, E::ChangesNotLoaded, N::Done(O::NotLoaded)),
    // The first record. A taken id only costs another try.
    (S::Inserting, E::Stored, N::Done(O::StoredUnderNewId)),
    // A log-out everywhere may have ended the new record, which the owner's index names by now.
    (S::Inserting, E::StoredListed, N::Go(S::CheckingNew)),
    (S::Inserting, E::Refused, N::Go(S::Inserting)),
    (S::Inserting, E::Failed, N::Done(O::Failed)),
    // A change. Refused: made again on what another request stored. Unknown: never sent again.
    (S::Updating, E::Stored, N::Done(O::Stored)),
    (S::Updating, E::StoredNil, N::Go(S::DeletingEmptied)),
    (S::Updating, E::Refused, N::Queue(S::Rebasing)),
    (S::Updating, E::Failed, N::Done(O::Failed)),
    (S::Rebasing, E::Live, N::Go(S::Updating)),
    (S::Rebasing, E::LiveUnchanged, N::Done(O::Followed)),
    (S::Rebasing, E::LiveOfOther, N::Done(O::ChangesDropped)),
    (S::Rebasing, E::Forwarded, N::Go(S::Rebasing)),
    (S::Rebasing, E::Ended, N::Done(O::ChangesDropped)),
    (S::Rebasing, E::Absent, N::Done(O::Missing)),
    (S::Rebasing, E::Unreadable, N::Done(O::Unreadable)),
    (S::Rebasing, E::Failed, N::Done(O::Failed)),
    (S::DeletingEmptied, E::Deleted, N::Done(O::Stored)),
    // A refresh. Refused: whoever changed the record moved its expiry, or ended it; Flask's contract wants the cookie.
    (S::Refreshing, E::Stored, N::Done(O::Refreshed)),
    (S::Refreshing, E::Refused, N::Go(S::CheckingRefresh)),
    (S::Refreshing, E::Failed, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Live, N::Done(O::StillLive)),
    (S::CheckingRefresh, E::Forwarded, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Ended, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Absent, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Unreadable, N::Done(O::NotRefreshed)),
    (S::CheckingRefresh, E::Failed, N::Done(O::NotRefreshed)),
    // No answer sends an id that was ended or renewed before the answer's last look.
    (S::CheckingId, E::Live, N::Done(O::StillLive)),
    (S::CheckingId, E::Forwarded, N::Done(O::Followed)),
    (S::CheckingId, E::Ended, N::Done(O::ChangesDropped)),
    (S::CheckingId, E::Absent, N::Done(O::Missing)),
    (S::CheckingId, E::Unreadable, N::Done(O::Unreadable)),
    (S::CheckingId, E::Failed, N::Done(O::Failed)),
    // A renewal: the new record first, then the old one is replaced, so that of many at once one wins and no moment leaves
    // the user without a session.
    (S::Copying, E::Stored, N::Go(S::Forwarding)),
    (S::Copying, E::Refused, N::Go(S::Copying)),
    (S::Copying, E::Failed, N::Done(O::Failed)),
    (S::Forwarding, E::Stored, N::Done(O::StoredUnderNewId)),
    (S::Forwarding, E::StoredListed, N::Go(S::CheckingNew)),
    (S::Forwarding, E::StoredNil, N::Go(S::DeletingRenewed)),
    (S::Forwarding, E::Refused, N::Queue(S::CheckingWinner)),
    // The one write that may be sent again: the same bytes at the same revision, and the tombstone names its writer.
    (S::Forwarding, E::Failed, N::Go(S::ForwardingAgain)),
    (S::ForwardingAgain, E::Stored, N::Done(O::StoredUnderNewId)),
    (S::ForwardingAgain, E::StoredListed, N::Go(S::CheckingNew)),
    (S::ForwardingAgain, E::StoredNil, N::Go(S::DeletingRenewed)),
    (S::ForwardingAgain, E::Refused, N::Go(S::CheckingWinner)),
    (S::ForwardingAgain, E::Failed, N::Done(O::Failed)),
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
    (S::CheckingNew, E::Live, N::Done(O::StoredUnderNewId)),
    (S::CheckingNew, E::Forwarded, N::Done(O::StoredElsewhere)),
    (S::CheckingNew, E::Ended, N::Done(O::ChangesDropped)),
    (S::CheckingNew, E::Absent, N::Done(O::Missing)),
    (S::CheckingNew, E::Unreadable, N::Done(O::Unreadable)),
    (S::CheckingNew, E::Failed, N::Done(O::Failed)),
    (S::DeletingRenewed, E::Deleted, N::Done(O::StoredUnderNewId)),
    (S::DiscardingToRetry, E::Deleted, N::Go(S::Copying)),
    // The changes of a renewal that lost follow the session.
    (S::DiscardingToFollow, E::Deleted, N::Go(S::Rebasing)),
    // To end is not to delete: a renewal beside it would go on.
    (S::LoadingToEnd, E::Live, N::Go(S::Ending)),
    (S::LoadingToEnd, E::LiveOfOther, N::Done(O::NotEnded)),
    (S::LoadingToEnd, E::Forwarded, N::Go(S::LoadingToEnd)),
    (S::LoadingToEnd, E::Ended, N::Again),
    (S::LoadingToEnd, E::Absent, N::Done(O::Missing)),
    (S::LoadingToEnd, E::Unreadable, N::Done(O::Unreadable)),
    (S::LoadingToEnd, E::Failed, N::Done(O::Failed)),
    (S::Ending, E::Stored, N::Again),
    (S::Ending, E::StoredNil, N::Go(S::DeletingEnded)),
    (S::Ending, E::Refused, N::Queue(S::LoadingToEnd)),
    (S::Ending, E::Failed, N::Done(O::Failed)),
    (S::DeletingEnded, E::Deleted, N::Again),
    // What the application asked to see.
    (S::Reloading, E::Live, N::Done(O::Reloaded)),
    (S::Reloading, E::LiveOfOther, N::Done(O::ChangesDropped)),
    (S::Reloading, E::Forwarded, N::Go(S::Reloading)),
    (S::Reloading, E::Ended, N::Done(O::ChangesDropped)),
    (S::Reloading, E::Absent, N::Done(O::Missing)),
    (S::Reloading, E::Unreadable, N::Done(O::Unreadable)),
    (S::Reloading, E::Failed, N::Done(O::Failed)),
];

/// Whether a rule holds: with the feature `model` a test may break one, to see that it is noticed.
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
