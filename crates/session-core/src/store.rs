use std::{fmt, time::SystemTime};

use async_trait::async_trait;

use crate::{
    error::Result,
    key::{OwnerKey, StoreKey},
    record::{Loaded, Record, Revision, Touch, Write},
};

/// A store keeps opaque bytes under an opaque key until an instant.
///
/// # Contract
///
/// Each method is atomic on its record. No method has a default, so that a store cannot lack a guarantee unnoticed.
/// "Absent", "expired" and "refused" are answers; `Err` means that the backend failed
/// ([`Error::Backend`](crate::Error::Backend)), that the record is unreadable
/// ([`Corrupt`](crate::Error::Corrupt)) or that the payload exceeds the store's limit
/// ([`TooLarge`](crate::Error::TooLarge), known before any I/O).
///
/// A record whose time has passed is absent at once, whatever the backend's own clock or clean-up does.
///
/// A write whose outcome is unknown, because its reply was lost or came too late, is an `Err`. A store, and the driver
/// below it, never sends a write again by itself unless the first is known not to have been carried out.
///
/// A future of a store may be dropped at every point: the next call must not see a reply meant for this one.
///
/// # Clone
///
/// A store that is [`Clone`] is a handle: clones see the same sessions.
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// The live record under `key`. Never writes.
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>>;

    /// Stores a new record; refused if `key` holds a live one.
    ///
    /// With an owner, the owner's index entry is written too, after the record and before the answer.
    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write>;

    /// Replaces the bytes that `revision` was loaded from; refused if they changed or are gone.
    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write>;

    /// Moves the expiry of the live record, payload and revision untouched; refused if there is none.
    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch>;

    /// Ends the record; succeeds if there is none.
    async fn delete(&self, key: &StoreKey) -> Result<()>;
}

/// Stores whose backend does not drop expired records by itself: files, SQL, memory.
#[async_trait]
pub trait ExpiredSweep: SessionStore {
    /// Removes up to `limit` expired records and says how many it removed; less than `limit` means none is left.
    async fn sweep(&self, limit: usize) -> Result<u64>;
}

/// Stores that can name an owner's sessions: all but memcached, whose evicted index would silently skip some.
#[async_trait]
pub trait OwnerIndex: SessionStore {
    /// The owner's records, each as a load finds it; a record inserted before the call began is never missing.
    ///
    /// An entry of the index goes only when its time has passed *and* its record is absent.
    async fn owned_by(&self, owner: &OwnerKey) -> Result<Vec<(StoreKey, Loaded)>>;
}
