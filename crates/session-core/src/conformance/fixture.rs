//! The store under test, and what the tests need to know about it.

use std::{any::Any, fmt, sync::Arc};

use crate::{
    id::SessionId,
    key::{KeyPrefix, OwnerKey, StoreKey},
    store::SessionStore,
};

/// A store under test, with keys that no other test uses.
///
/// Each fixture has its own random prefix, because tests run in parallel on one server. No test
/// empties the server.
pub struct Fixture<S: ?Sized> {
    store: Arc<S>,
    second: Arc<S>,
    tells_expiry: bool,
    prefix: KeyPrefix,
    // After the stores, because fields are dropped in this order.
    guards: Vec<Box<dyn Any + Send + Sync>>,
}

impl<S: SessionStore + Clone> Fixture<S> {
    /// A fixture of `store`. Its clone is the second handle.
    pub fn new(store: S) -> Self {
        Self::of(Arc::new(store.clone())).with_second(Arc::new(store))
    }
}

impl<S: SessionStore + ?Sized> Fixture<S> {
    /// A fixture of a `store` that cannot be cloned, or of a trait object.
    pub fn of(store: Arc<S>) -> Self {
        let unique = SessionId::random(SessionId::MIN_BYTES);
        let prefix = KeyPrefix::new(&format!("{}:", unique.as_str()))
            .expect("base64url and a colon are graphic ASCII");
        Self {
            second: Arc::clone(&store),
            store,
            tells_expiry: false,
            prefix,
            guards: Vec::new(),
        }
    }

    /// Sets a second handle on the same records, such as one with its own connection.
    #[must_use]
    pub fn with_second(mut self, store: Arc<S>) -> Self {
        self.second = store;
        self
    }

    /// Expects [`Loaded::expires_at`](crate::Loaded::expires_at) of every record, for layouts that
    /// keep it outside of the bytes. Without this call, it must be `None`.
    #[must_use]
    pub fn with_told_expiry(mut self) -> Self {
        self.tells_expiry = true;
        self
    }

    /// Keeps `guard`, such as a server or a temporary directory, until the stores are dropped.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guards.push(Box::new(guard));
        self
    }

    /// The store.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }

    /// The second handle on the same records.
    pub fn second(&self) -> &Arc<S> {
        &self.second
    }

    /// Whether the layout returns when a record expires.
    pub fn tells_expiry(&self) -> bool {
        self.tells_expiry
    }

    /// The prefix of this fixture's keys.
    pub fn prefix(&self) -> &KeyPrefix {
        &self.prefix
    }

    /// A key that was never used.
    pub fn key(&self) -> StoreKey {
        self.prefix
            .hashed_key(&SessionId::random(SessionId::DEFAULT_BYTES))
    }

    /// An owner that was never used.
    pub fn owner(&self) -> OwnerKey {
        self.prefix
            .owner_key(SessionId::random(SessionId::MIN_BYTES).as_str())
    }
}

impl<S: SessionStore + ?Sized> fmt::Debug for Fixture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("store", &self.store)
            .field("tells_expiry", &self.tells_expiry)
            .finish_non_exhaustive()
    }
}
