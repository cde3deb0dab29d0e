use std::{fmt, sync::Arc, time::SystemTime};

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
/// Each method is atomic on its record. None of those that read or write has a default, so that a store cannot lack a
/// guarantee unnoticed.
/// "Absent" and "refused" are answers; `Err` means that the backend failed
/// ([`Error::Backend`](crate::Error::Backend)) or that what it holds is not a record
/// ([`Corrupt`](crate::Error::Corrupt)).
///
/// **Time.** `session-core` decides whether a session has ended, by a time within the record's bytes; a store does not.
/// What is there is found, replaced, refused and deleted alike, before its [`expires_at`](Record::expires_at) and after
/// it. The store's own expiry only reclaims space: it removes no record before its `expires_at`, and some time after
/// it. A record that is written when its `expires_at` has passed already is stored, and may be gone at once. A time is kept to
/// the second at least, and as far as the year 2200.
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
/// **Secrets.** `Debug` of the store, which ends up in logs, shows no key and no byte of a record, in no form. Its errors
/// show none either.
///
/// # Clone
///
/// A store that is [`Clone`] is a handle: clones see the same sessions.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of sessions",
    note = "a store implements `SessionStore`: `load`, `insert`, `update`, `delete` and `limit`; \
            `Sessions::new` takes an `Arc` of it"
)]
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

    /// The store as one that can list an owner's sessions: `Some(self)` where it is an [`OwnerIndex`].
    ///
    /// `None`, the default, means that it cannot; [`Sessions::new`](crate::Sessions::new) then refuses it.
    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        None
    }
}

/// Stores whose backend does not drop expired records by itself: files, SQL, memory.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has nothing to sweep",
    note = "its backend removes expired records by itself, or it does not implement `ExpiredSweep`: \
            leave `sweep_every` out"
)]
pub trait ExpiredSweep: SessionStore {
    /// Removes up to `limit` records whose [`expires_at`](Record::expires_at) has passed and says how many it removed;
    /// less than `limit` means none is left. A `limit` of 0 removes none. The time that counts is that of the last
    /// write: an update may have brought it nearer or put it off. A record that is written beside the sweep is safe.
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

/// Stores that can list an owner's sessions: all but memcached, whose evicted index would silently skip some.
///
/// Such a store returns itself from [`SessionStore::owner_index`].
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot list a user's sessions",
    note = "it does not implement `OwnerIndex`: leave its tests out"
)]
pub trait OwnerIndex: SessionStore {
    /// A page of about `limit` of the owner's records, from `cursor` on, or from the start.
    ///
    /// A record inserted before the first page was asked for, and not removed before the last was answered, is on one
    /// of the pages, also if its entry moves or others end in between. It may be on several. A page may hold fewer than
    /// `limit`, or none, and still have a [`next`](Page::next); it holds not many more. A `cursor` is any handle's:
    /// another process may have made it.
    ///
    /// **Entries whose time has passed** ([`IndexEntry::expires_at`](crate::IndexEntry::expires_at)) are to leave the
    /// list, although the record is still there: not before that time, and within ten seconds after it, if the owner is
    /// written to and listed meanwhile. To leave them out of the pages is one way, to remove them when another entry of
    /// the owner is written is the other. They must not cost pages either: when thousands of an owner's sessions have
    /// ended and one lives, a few pages are all there is, so a store that only leaves them out does that in its query.
    /// A `delete` need not remove the entry: a key without a record is left out of the page.
    ///
    /// The simplest cursor is the last key of a page, where keys have an order: the complete store in the docs of the
    /// module `conformance` does that.
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page>;
}
