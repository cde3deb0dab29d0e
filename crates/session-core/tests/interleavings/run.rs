//! The result of a run.

use session_core::Sessions;

use crate::{clock::TestClock, request::Answer, store::PausingStore};

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) sessions: Sessions,
    pub(crate) store: PausingStore,
    pub(crate) clock: TestClock,
    /// The id that every request came with.
    pub(crate) id: String,
    /// The lineage of its session.
    pub(crate) lineage: String,
    /// `None` for a request whose process crashed.
    pub(crate) answers: Vec<Option<Answer>>,
    pub(crate) failures: usize,
    pub(crate) paused: bool,
    /// The id was dead when the answer was given.
    pub(crate) old_dead_at_answer: Vec<bool>,
    /// The answer set a cookie whose id was dead by then.
    pub(crate) set_dead_cookie: Vec<bool>,
    pub(crate) log: Vec<String>,
}

impl Run {
    /// The ids that a browser may have: the one of every request, and those that answers set.
    pub(crate) fn known_ids(&self) -> Vec<String> {
        let sent = self
            .answers
            .iter()
            .flatten()
            .filter_map(|answer| answer.cookie.id().map(str::to_owned));
        let mut ids: Vec<_> = sent.chain([self.id.clone()]).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}
