//! A session's content, for comparisons.

use std::{sync::Arc, time::SystemTime};

use session_core::{Lineage, Session, Value};

/// What a session holds and says of itself, apart from the instants that every use moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// In their order.
    pub values: Vec<(String, Value)>,
    owner: Option<Arc<str>>,
    label: Option<Arc<str>>,
    permanent: bool,
    created_at: Option<SystemTime>,
    lineage: Option<Lineage>,
}

impl Snapshot {
    /// Of `session` as this request sees it.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let keys = session.keys().into_iter();
        Self {
            values: keys
                .filter_map(|key| session.value(&key).map(|value| (key, value)))
                .collect(),
            owner: session.owner(),
            label: session.label(),
            permanent: session.is_permanent(),
            created_at: session.created_at(),
            lineage: session.lineage(),
        }
    }
}
