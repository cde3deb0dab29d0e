//! Which sessions a command is about.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use session_stores::session_core::{Cursor, Error, Lineage, StoredSession};

use crate::{
    args::Which,
    failure::{Completion, Failure, described},
    opened::Opened,
    output::note,
};

/// How many records a page has.
pub(crate) const PAGE: usize = 1000;

impl Which {
    /// Whether the session is one of those.
    pub(crate) fn includes(&self, session: &StoredSession, now: SystemTime) -> bool {
        let since = |time: SystemTime| now.duration_since(time).unwrap_or(Duration::ZERO);
        let owner = self.owner.as_deref();
        owner.is_none_or(|owner| session.owner() == Some(owner))
            && !(self.anonymous && session.owner().is_some())
            && self
                .older_than
                .is_none_or(|age| since(session.created_at()) >= age)
            && self
                .idle_for
                .is_none_or(|idle| since(session.last_seen()) >= idle)
    }
}

/// All sessions, page by page.
pub(crate) struct Walk<'o> {
    opened: &'o Opened,
    cursor: Option<Cursor>,
    done: bool,
    /// The lineages so far, if each session is to be listed once.
    seen: Option<HashSet<Lineage>>,
    pub(crate) expired: u64,
    pub(crate) tombstones: u64,
    pub(crate) unreadable: Vec<Error>,
}

impl<'o> Walk<'o> {
    /// With each session once.
    pub(crate) fn new(opened: &'o Opened) -> Self {
        Self {
            opened,
            cursor: None,
            done: false,
            seen: Some(HashSet::new()),
            expired: 0,
            tombstones: 0,
            unreadable: Vec::new(),
        }
    }

    /// With each record of a session: a renewal that failed may have left a second one.
    pub(crate) fn of_records(opened: &'o Opened) -> Self {
        Self {
            seen: None,
            ..Self::new(opened)
        }
    }

    /// The next page. `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<StoredSession>>, Failure> {
        if self.done {
            return Ok(None);
        }
        let page = self.opened.all()?.page(self.cursor.as_ref(), PAGE).await?;
        self.cursor = page.next;
        self.done = self.cursor.is_none();
        self.expired += page.expired;
        self.tombstones += page.tombstones;
        self.unreadable.extend(page.unreadable);
        let mut sessions = page.sessions;
        if let Some(seen) = &mut self.seen {
            sessions.retain(|it| seen.insert(*it.lineage()));
        }
        Ok(Some(sessions))
    }

    /// Says which records could not be read, on standard error.
    pub(crate) fn report(&self) -> Completion {
        let Some(first) = self.unreadable.first() else {
            return Completion::Done;
        };
        note(format_args!(
            "{} record(s) cannot be read, the first because: {}",
            self.unreadable.len(),
            described(first)
        ));
        Completion::Incomplete
    }
}

/// The session with this lineage: all of its records.
pub(crate) async fn find_all(
    opened: &Opened,
    lineage: &str,
) -> Result<Vec<StoredSession>, Failure> {
    let wanted: Lineage = lineage.parse().map_err(|_| {
        // It may be a session's id, which opens it.
        Failure::Usage(
            "that is no lineage: one has 22 characters, as `sessionctl ls` prints it".into(),
        )
    })?;
    let mut walk = Walk::of_records(opened);
    let mut found = Vec::new();
    while let Some(sessions) = walk.next().await? {
        found.extend(sessions.into_iter().filter(|it| *it.lineage() == wanted));
    }
    if found.is_empty() {
        // Not which: a short id is as long as a lineage.
        return Err(Failure::NoSession(
            "there is no live session of that lineage: it has ended, or is under another prefix or in another store"
                .into(),
        ));
    }
    Ok(found)
}

/// The session with this lineage: the record that was used last.
pub(crate) async fn find(opened: &Opened, lineage: &str) -> Result<StoredSession, Failure> {
    let found = find_all(opened, lineage).await?;
    let last = found.into_iter().max_by_key(StoredSession::last_seen);
    last.ok_or_else(|| Failure::NoSession("there is no such session".into()))
}
