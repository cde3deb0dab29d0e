//! What all sessions of an application share: rules, store, clock and queues.

use std::{fmt, sync::Arc, time::SystemTime};

use crate::{
    config::Settings,
    driver::Queues,
    expiry::Millis,
    measure::Metrics,
    memory::Clock,
    rules::Rules,
    store::{OwnerIndex, SessionStore},
};

/// What all sessions of an application share.
pub(crate) struct Shared {
    pub(crate) rules: Rules,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) owners: Option<Arc<dyn OwnerIndex>>,
    pub(crate) queues: Queues,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

impl Shared {
    /// From settings that were checked. Without an index of owners.
    pub(crate) fn of(settings: Settings, store: Arc<dyn SessionStore>) -> Self {
        Self {
            rules: Rules::of(settings, store.limit()),
            store,
            owners: None,
            queues: Queues::default(),
            metrics: Metrics::default(),
            clock: Arc::new(SystemTime::now),
        }
    }

    pub(crate) fn now(&self) -> Millis {
        (self.clock)().into()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("settings", &self.rules.settings)
            .field("store", &self.store)
            .field("owners", &self.owners.is_some())
            .finish_non_exhaustive()
    }
}
