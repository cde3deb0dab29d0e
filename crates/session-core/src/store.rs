use std::{fmt, time::SystemTime};

use async_trait::async_trait;

use crate::{
    error::Result,
    key::{OwnerKey, StoreKey},
    record::{Cursor, Loaded, Page, Record, Revision, Write},
};

/// A store keeps opaque bytes under an opaque key.
///
/// # Contract
///
/// Each method is atomic on its record. No method has a default, so that a store cannot lack a guarantee unnoticed.
/// "Absent" and "refused" are answers; `Err` means that the backend failed
/// ([`Error::Backend`](crate::Error::Backend)) or that what it holds is not a record
/// ([`Corrupt`](crate::Error::Corrupt)).
///
/// **Time.** A store judges no session by a clock: `session-core` does, by the record's bytes. The store's own expiry
/// only reclaims space: it removes no record before its [`expires_at`](Record::expires_at), and some time after it.
/// In between a record is found as ever.
///
/// **Index.** Both writes do the same with [`Record::entry`]. With an entry, the owner's index names the key until the
/// entry's time when the call answers. Without one, the index stays as it is. A store without an index ignores it. An
/// entry that moves to a later time is written before the record, one that moves to an earlier time after it, so that no
/// failure in between leaves a session that the index does not name. A refused write leaves no entry that ends sooner.
///
/// **Size.** `session-core` gives a store no record larger than its [`limit`](Self::limit).
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
    /// The largest record that the store accepts, in bytes.
    fn limit(&self) -> usize;

    /// The record under `key`. Never writes.
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>>;

    /// Stores a new record; refused if there is anything under `key`.
    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write>;

    /// Replaces the bytes that `revision` was loaded from; refused if they changed or are gone, whatever the time.
    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write>;

    /// Removes the record; succeeds if there is none.
    async fn delete(&self, key: &StoreKey) -> Result<()>;
}

/// Stores whose backend does not drop expired records by itself: files, SQL, memory.
#[async_trait]
pub trait ExpiredSweep: SessionStore {
    /// Removes up to `limit` records whose time has passed and says how many it removed; less than `limit` means none
    /// is left.
    async fn sweep(&self, limit: usize) -> Result<u64> {
        self.sweep_as_of(SystemTime::now(), limit).await
    }

    /// The same as if it were `instant`.
    ///
    /// A native record is kept for [`Record::KEPT_AFTER_END`] after its session's end: an operator who wants the space
    /// of ended sessions at once asks as of so much later. A request that is under way may lose the session then that
    /// ended while it ran; the answer is an error.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<u64>;
}

/// Stores that can name an owner's sessions: all but memcached, whose evicted index would silently skip some.
#[async_trait]
pub trait OwnerIndex: SessionStore {
    /// A page of about `limit` of the owner's records, from `cursor` on, or from the start.
    ///
    /// A record inserted before the first page was asked for, and not removed before the last was answered, is on one
    /// of the pages. An entry whose time has passed may be left out.
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page>;
}
