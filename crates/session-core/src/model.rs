//! The state machine as data, for this project's own tests: its table, how often each row was used,
//! and functions that break a row or a rule on purpose. Behind the feature `model`, and not part of
//! the API.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::machine::table::{Event, Next, State, TRANSITIONS};

static USES: [AtomicU64; TRANSITIONS.len()] = [const { AtomicU64::new(0) }; TRANSITIONS.len()];

thread_local! {
    static BROKEN_ROW: Cell<Option<(State, Event, Next)>> = const { Cell::new(None) };
    static BROKEN_RULE: RefCell<Option<Rule>> = const { RefCell::new(None) };
}

/// A rule that is not a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A cookie is sent when its own end lags behind, not when the record's does.
    CookieHasItsOwnEnd,
    /// The next save finishes a save whose future was dropped.
    DroppedSaveContinues,
    /// The next save reports an error that no caller received.
    UnreportedErrorIsReported,
    /// A session that is first requested after the head knows that the head was sent.
    LateSessionKnowsHead,
    /// A session of Flask's form moves to a new id only while a cookie can be sent.
    MovesOnlyBeforeHead,
    /// A request does not use a session that belongs to another user by now.
    OwnerIsChecked,
    /// Changes are replayed on what another request stored.
    ChangesAreReplayed,
    /// If it is unknown whether a write was carried out, nothing is reported as saved.
    UnknownStaysUnknown,
    /// A login gives the session a new id.
    LoginRenews,
    /// A lowered timeout applies to stored sessions.
    LoweredTimeoutHolds,
    /// The absolute timeout applies, whatever a request does.
    AbsoluteTimeoutIsKept,
    /// The owner's index gets an entry for a session's record.
    IndexIsWritten,
    /// "Log out everywhere" follows sessions that were renewed.
    LogOutFollowsRenewals,
    /// If the application logs out during a save, the session ends after the save.
    LogOutDuringSaveHolds,
    /// The owner's index names a session by that of its identity provider, too.
    ProviderSessionIsListed,
    /// A login ends its owner's oldest sessions, if they are too many.
    OldestEnds,
    /// Of two logins that would be one too many, the slower one starts again.
    LoginsAreCompared,
    /// The first request that presents the id of a rotation notes it.
    FirstUseIsNoted,
    /// No other request does.
    OnlyItsUseIsNoted,
    /// A rotated id is refused some time after the next one was presented.
    GraceEnds,
    /// A record that is written keeps the device that its session is bound to.
    DeviceIsKept,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule::CookieHasItsOwnEnd,
    Rule::DroppedSaveContinues,
    Rule::UnreportedErrorIsReported,
    Rule::LateSessionKnowsHead,
    Rule::MovesOnlyBeforeHead,
    Rule::OwnerIsChecked,
    Rule::ChangesAreReplayed,
    Rule::UnknownStaysUnknown,
    Rule::LoginRenews,
    Rule::LoweredTimeoutHolds,
    Rule::AbsoluteTimeoutIsKept,
    Rule::IndexIsWritten,
    Rule::LogOutFollowsRenewals,
    Rule::LogOutDuringSaveHolds,
    Rule::ProviderSessionIsListed,
    Rule::OldestEnds,
    Rule::LoginsAreCompared,
    Rule::FirstUseIsNoted,
    Rule::OnlyItsUseIsNoted,
    Rule::GraceEnds,
    Rule::DeviceIsKept,
];

/// A row of the table as text, and how often it was used in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The state.
    pub state: String,
    /// The event.
    pub event: String,
    /// What follows.
    pub next: String,
    /// How often.
    pub uses: u64,
}

/// Restores what was broken on this thread, when it is dropped.
#[derive(Debug)]
pub struct Broken(());

impl Drop for Broken {
    fn drop(&mut self) {
        BROKEN_ROW.set(None);
        BROKEN_RULE.replace(None);
    }
}

/// Every row of the table.
pub fn rows() -> Vec<Row> {
    TRANSITIONS
        .iter()
        .zip(&USES)
        .map(|((state, event, next), uses)| Row {
            state: format!("{state:?}"),
            event: format!("{event:?}"),
            next: format!("{next:?}"),
            uses: uses.load(Ordering::Relaxed),
        })
        .collect()
}

/// On this thread, `next` follows when `event` happens in `state`. All names are those of [`rows`].
///
/// # Panics
///
/// If the table has no such row, or no row with such a `next`.
pub fn break_row(state: &str, event: &str, next: &str) -> Broken {
    let row = TRANSITIONS
        .iter()
        .find(|(s, e, _)| format!("{s:?}") == state && format!("{e:?}") == event)
        .expect("the row is in the table");
    let next = TRANSITIONS
        .iter()
        .map(|(.., next)| *next)
        .find(|it| format!("{it:?}") == next)
        .expect("some row has that");
    BROKEN_ROW.set(Some((row.0, row.1, next)));
    Broken(())
}

/// On this thread, `rule` does not hold.
pub fn break_rule(rule: Rule) -> Broken {
    BROKEN_RULE.replace(Some(rule));
    Broken(())
}

pub(crate) fn rule_holds(rule: Rule) -> bool {
    BROKEN_RULE.with_borrow(|broken| *broken != Some(rule))
}

pub(crate) fn broken_row(state: State, event: Event) -> Option<Next> {
    BROKEN_ROW
        .get()
        .filter(|(s, e, _)| (*s, *e) == (state, event))
        .map(|(.., next)| next)
}

pub(crate) fn count(state: State, event: Event) {
    let row = TRANSITIONS
        .iter()
        .position(|(s, e, _)| (*s, *e) == (state, event));
    if let Some(row) = row {
        USES[row].fetch_add(1, Ordering::Relaxed);
    }
}

/// The table as Markdown: a row for each state.
pub fn table() -> String {
    let mut text = String::from("| state | event → what follows |\n|---|---|\n");
    let mut states: Vec<State> = Vec::new();
    for (state, ..) in TRANSITIONS {
        if !states.contains(state) {
            states.push(*state);
        }
    }
    for state in states {
        let cells: Vec<_> = TRANSITIONS
            .iter()
            .filter(|(from, ..)| *from == state)
            .map(|(_, event, next)| format!("{event:?} → {}", in_words(*next)))
            .collect();
        let _ = writeln!(text, "| **{state:?}** | {} |", cells.join("<br>"));
    }
    text
}

/// The transitions between states, as a Mermaid diagram.
pub fn diagram() -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n");
    for (state, event, next) in TRANSITIONS {
        let (to, queued) = match next {
            Next::Go(to) => (*to, ""),
            Next::Queue(to) => (*to, ", after a turn"),
            Next::Again => (State::Idle, ""),
            Next::Done(_) => continue,
        };
        let _ = writeln!(text, "    {state:?} --> {to:?}: {event:?}{queued}");
    }
    text.push_str("```\n");
    text
}

fn in_words(next: Next) -> String {
    match next {
        Next::Go(state) => format!("**{state:?}**"),
        Next::Queue(state) => format!("a turn, then **{state:?}**"),
        Next::Again => "**Idle**".into(),
        Next::Done(outcome) => format!("_{outcome:?}_"),
    }
}
