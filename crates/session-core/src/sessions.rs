use std::{fmt, sync::Arc, time::SystemTime};

use crate::{
    config::{ConfigError, Settings},
    driver::{Leftovers, Rest},
    memory::Clock,
    owned::{Owned, OwnedSession},
    record::Record,
    shared::Shared,
    store::{OwnerIndex, SessionStore},
    visit::Visit,
};

/// One application's sessions: its settings and its store.
///
/// A handle: clones share everything.
#[derive(Clone)]
pub struct Sessions(pub(crate) Arc<Shared>);

impl Sessions {
    /// Sessions kept in `store`, which cannot list an owner's sessions or need not: lists and log-out-everywhere are
    /// [`Error::NoOwnerIndex`](crate::Error::NoOwnerIndex).
    ///
    /// # Errors
    ///
    /// If the settings break a rule; the message says which, and what to do.
    pub fn new(settings: Settings, store: Arc<dyn SessionStore>) -> Result<Self, ConfigError> {
        Self::with_clock(settings, store, None, Arc::new(SystemTime::now))
    }

    /// Sessions kept in `store`, which can list an owner's sessions and log them out. With a store that cannot, this does
    /// not compile; use [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_owners(
        settings: Settings,
        store: Arc<dyn OwnerIndex>,
    ) -> Result<Self, ConfigError> {
        Self::with_clock(
            settings,
            store.clone(),
            Some(store),
            Arc::new(SystemTime::now),
        )
    }

    /// Sessions with every part given, the clock too.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_clock(
        settings: Settings,
        store: Arc<dyn SessionStore>,
        owners: Option<Arc<dyn OwnerIndex>>,
        clock: Clock,
    ) -> Result<Self, ConfigError> {
        settings.check()?;
        let limit = store.limit();
        if limit < Record::HEAD {
            return Err(ConfigError::new(
                "the store's limit",
                format!("is {limit} bytes: at least {} are needed", Record::HEAD),
            ));
        }
        let mut shared = Shared::of(settings, store);
        shared.owners = owners;
        shared.clock = clock;
        Ok(Self(Arc::new(shared)))
    }

    /// One request's use of the session.
    ///
    /// If its last handle is dropped before [`Visit::finish`], or while a [`save`](crate::Session::save) is under way,
    /// changes that are not saved are lost; a warning says how many.
    pub fn visit(&self) -> Arc<Visit> {
        Arc::new(Visit::new(self.0.clone(), Leftovers::Counted))
    }

    /// The same, where `finish` runs to its end what was begun when the last handle is dropped: a
    /// [`save`](crate::Session::save) under way, also in a stream; and a log-out of a handler that was cut off, which is
    /// safe. Its other changes are half done, and lost.
    ///
    /// An adapter spawns a task in `finish`. It is called where the handle is dropped, so it must not block.
    pub fn visit_finished_by(&self, finish: fn(Rest)) -> Arc<Visit> {
        Arc::new(Visit::new(self.0.clone(), Leftovers::Finished(finish)))
    }

    /// Whether both are handles of the same sessions.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.0.rules.settings
    }

    /// The live sessions of `owner`, for an administrator's page.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions.
    pub async fn of_owner(&self, owner: &str) -> crate::Result<Vec<OwnedSession>> {
        Owned::of(&self.0)?.list(owner).await
    }

    /// Ends every session of `owner`, such as after a changed password, and says how many it ended.
    ///
    /// It ends every session whose login was answered before the call, and every renewal of those. A login of the same
    /// owner that is still in flight survives it.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions.
    pub async fn end_all_of(&self, owner: &str) -> crate::Result<u64> {
        Owned::of(&self.0)?.end_all(owner, None).await
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
