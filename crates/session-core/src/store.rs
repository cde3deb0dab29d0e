//! The contract of a store: the traits that it implements.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use crate::{
    error::Result,
    key::{KeyPrefix, OwnerKey, StoreKey},
    record::{Cursor, Loaded, Page, Record, Revision, Write},
};

/// A store: it keeps opaque bytes under opaque keys.
///
/// # Contract
///
/// Each method is atomic on its record. The methods that read or write have no default, so that no
/// guarantee can be missed. "Absent" and "refused" are results, not errors. `Err` means that the
/// backend failed ([`Error::Backend`](crate::Error::Backend)), or that what it holds is not a
/// record ([`Corrupt`](crate::Error::Corrupt)).
///
/// **Time.** `session-core` decides whether a session has ended, from a time in the record's bytes.
/// A store does not. It finds, replaces, refuses and deletes a record in the same way before and
/// after the record's [`expires_at`](Record::expires_at). The store's own expiry only reclaims
/// space: it removes a record some time after its `expires_at`, and never before. A record whose
/// `expires_at` has passed when it is written is stored, and may be removed at once. A store keeps
/// times exact to the second or better, and up to the year 2200.
///
/// **Index.** Both writes treat [`Record::entry`] in the same way. With an entry, the owner's index
/// names the key until the entry's time, from the moment that the call returns, under each of the
/// entry's [names](crate::IndexEntry::names). Without an entry,
/// the index stays unchanged. A store without an index ignores the entry. An entry that moves to a
/// later time is written before the record, and one that moves to an earlier time after it. So a
/// failure in between never leaves a session that the index does not name. A refused write moves no
/// entry to an earlier time.
///
/// **Size.** `session-core` never passes a record larger than the store's [`limit`](Self::limit).
///
/// **Unknown results.** If the reply to a write was lost or came too late, its result is unknown,
/// and the call returns `Err`. The store, and the database driver below it, must not send a write
/// again by themselves, unless the first is known not to have been carried out.
///
/// **Cancellation.** The future of a call may be dropped at any point. The next call must not
/// receive the reply to the dropped one.
///
/// **Secrets.** The `Debug` output and the errors of the store, which are logged, show no key and
/// no byte of a record, in any form.
///
/// # Clone
///
/// A store that is [`Clone`] is a handle: clones share the same sessions.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of sessions",
    note = "a store implements `SessionStore`: `load`, `insert`, `update`, `delete` and `limit`; \
            `Sessions::new` takes an `Arc` of it, not an `Arc` of an `Arc`"
)]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// The largest record that the store accepts, in bytes.
    fn limit(&self) -> usize;

    /// The record under `key`. Never writes.
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>>;

    /// Stores a new record. Refused if there is anything under `key`.
    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write>;

    /// Replaces the bytes that `revision` was loaded from. Refused if they are absent, or if anybody has
    /// written there since, whatever the time.
    ///
    /// Each write of a record has another write tag, so a store may compare that, or a number of its own.
    /// Bytes that were damaged meanwhile without a write may then be replaced: by what a request made of
    /// them while they were sound.
    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write>;

    /// The revision that `record` will have once an [`update`](Self::update) has stored it, for a store
    /// that usually carries out the updates of one thread in the order in which they began.
    ///
    /// Of requests that change one session at the same time, the next one then does not wait for the
    /// answer to the one before: its update follows at once, with this revision. If the one before
    /// is refused, or overtaken, this one is refused and made again.
    ///
    /// `None`, the default, if only the answer to an update tells the revision.
    fn next_revision(&self, record: &Record) -> Option<Revision> {
        let _ = record;
        None
    }

    /// Removes the record. Succeeds if there is none.
    async fn delete(&self, key: &StoreKey) -> Result<()>;

    /// The store's index of an owner's sessions: `Some(self)` if the store implements
    /// [`OwnerIndex`].
    ///
    /// `None`, the default, means that the store cannot list sessions.
    /// [`Sessions::new`](crate::Sessions::new) then refuses it.
    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        None
    }

    /// All records of the store, page by page: `Some(self)` if the store implements [`Scan`].
    ///
    /// `None`, the default, means that nobody can count, list or copy all sessions.
    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        None
    }

    /// The connections to the backend as they are now, without asking it. For metrics, so it must cost
    /// next to nothing. `None`, the default, if the store has none or does not know.
    fn connections(&self) -> Option<Connections> {
        None
    }

    /// What is wrong with the backend, as far as it can be asked: its version, its clock, its memory,
    /// its indexes. For operators; no request needs it. Reads only. Whoever calls it limits its time, as
    /// that of each call.
    ///
    /// # Errors
    ///
    /// If the backend cannot be asked. What the rights do not allow to ask is a [`Finding`].
    async fn diagnose(&self) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }
}

/// How many connections a store has to its backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Those that a call uses, or several calls at once.
    pub used: u64,
    /// Those that are open for the next call, if the store knows.
    pub idle: Option<u64>,
    /// How many there may be at most, if each serves one call at a time. A call that finds none free
    /// waits.
    pub max: Option<u64>,
}

impl Connections {
    /// Those of both, while sessions move from one store to another.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            used: self.used + other.used,
            idle: self.idle.zip(other.idle).map(|(one, other)| one + other),
            max: self.max.zip(other.max).map(|(one, other)| one + other),
        }
    }
}

/// Something that is wrong with a store, or that may become so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is, as a sentence.
    pub problem: String,
    /// What to do about it, as a sentence.
    pub remedy: String,
}

impl Finding {
    /// A finding.
    pub fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// The finding that the backend's clock, which showed `time` when the question was sent at
    /// `asked` and answered at `answered`, differs by more than a second from this machine's.
    pub fn of_clock(time: SystemTime, asked: SystemTime, answered: SystemTime) -> Option<Self> {
        let behind = asked.duration_since(time).unwrap_or_default();
        let ahead = time.duration_since(answered).unwrap_or_default();
        let difference = behind.max(ahead);
        (difference > Duration::from_secs(1)).then(|| {
            Self::new(
                format!(
                    "The server's clock is {:.1} s {} that of this machine.",
                    difference.as_secs_f64(),
                    if ahead > behind { "ahead of" } else { "behind" }
                ),
                "Synchronise both clocks, such as by chrony: records are removed by the server's.",
            )
        })
    }
}

/// What one call of a sweep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`is_done` says whether to call the sweep again"]
pub struct Swept {
    /// How many records the call removed.
    pub removed: u64,
    /// Whether the sweep has looked at everything. If not, the next call continues it.
    pub is_done: bool,
}

impl Swept {
    /// The time after which a call of a sweep ends, with the batch that it has begun: one second.
    pub const LONGEST_CALL: Duration = Duration::from_secs(1);
}

/// A store whose backend does not remove expired records by itself: files, SQL, memory.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has nothing to sweep",
    note = "an `Arc` that a store's `connect` returns is passed as it is, not in another `Arc`; a store \
            whose backend removes expired records by itself needs no sweep: leave `sweep_every` out"
)]
pub trait ExpiredSweep: SessionStore {
    /// Removes up to `limit` records whose [`expires_at`](Record::expires_at) has passed. The
    /// `expires_at` of the last write counts; an update may have moved it to an earlier or a later
    /// time. Records that are written during the sweep are safe.
    ///
    /// A store may have to look at millions of live records before it finds an expired one. So a call
    /// ends when it has looked at everything, when it has removed `limit` records, or after about
    /// [`Swept::LONGEST_CALL`], whichever is first. In the first case it
    /// [is done](Swept::is_done): no record is left that had expired when the sweep began, except
    /// those that somebody else is changing at that moment. Otherwise the next call on this store, or
    /// on a clone of it, continues where this one stopped. Each call looks at one batch at least, so
    /// calls in a row come to an end; but a `limit` of 0 removes none, and is never done.
    ///
    /// Calls of others on this store or its clones are part of the same sweep. It began with the first
    /// of them, and is only sure to have removed what had expired at the earliest of their instants.
    ///
    /// A call may be dropped at any time, by [`sweep_until`](crate::sweep_until) at a shutdown or by
    /// a timeout. What it has removed until then stays removed.
    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.sweep_as_of(SystemTime::now(), limit).await
    }

    /// As [`sweep`](Self::sweep), as if the time were `instant`.
    ///
    /// A native record is kept for [`Record::KEPT_AFTER_END`] after its session's end. To reclaim
    /// the space of ended sessions at once, pass an `instant` that is later by as much. A request
    /// whose session ended while it runs may then find no record, and fails.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<Swept>;
}

/// A store that can list an owner's sessions. All but memcached can: it may evict the index, and
/// would then omit sessions without an error.
///
/// Such a store must return itself from [`SessionStore::owner_index`].
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot list a user's sessions",
    note = "it does not implement `OwnerIndex`: leave its tests out"
)]
pub trait OwnerIndex: SessionStore {
    /// A page of about `limit` of the owner's records, from `cursor`, or from the start.
    ///
    /// A record that was inserted before the first page was requested, and not removed before the
    /// last page was returned, is on at least one of the pages, even if its entry moves or others
    /// end in between. A page may hold fewer records than `limit`, or none, and still have a
    /// [`next`](Page::next). It may hold a few more than `limit`. A `cursor` may come from another
    /// handle, or from another process.
    ///
    /// **Entries whose time has passed**
    /// ([`IndexEntry::expires_at`](crate::IndexEntry::expires_at)) must leave the list, even if the
    /// record still exists: not before that time, and within ten seconds after it, provided the
    /// owner's index is written and listed meanwhile. A store either omits such entries from the
    /// pages, or removes them when another entry of the owner is written. They must not produce
    /// pages either: if thousands of an owner's sessions have ended and one is live, there are only
    /// a few pages. So a store that omits them does so in its query. A `delete` need not remove the
    /// entry: a key without a record is omitted from the page.
    ///
    /// If keys have an order, the simplest cursor is the last key of a page. The complete store in
    /// the documentation of the module `conformance` uses it.
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page>;
}

/// A store whose records can all be read, page by page: for whoever counts, lists, ends or copies
/// all sessions. No request needs it.
///
/// Such a store must return itself from [`SessionStore::scan`].
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot list all of its records",
    note = "it does not implement `Scan`: leave its tests out"
)]
pub trait Scan: SessionStore {
    /// A page of about `limit` of the records whose keys `prefix` makes
    /// ([`KeyPrefix::is_of_record`]), from `cursor`, or from the start. In no particular order.
    ///
    /// A record that was inserted before the first page was requested, and not removed before the
    /// last page was returned, is on at least one of the pages. A page may hold fewer records than
    /// `limit`, or none, and still have a [`next`](Page::next). It may hold a few more than
    /// `limit`. A `cursor` may come from another handle, or from another process.
    ///
    /// A record whose [`expires_at`](Record::expires_at) has passed may be on a page or not. What
    /// is under such a key and is no record of this store, because something else wrote it, is on
    /// no page.
    ///
    /// Applications use the store meanwhile. So no single command to the backend may keep others
    /// waiting: it reads at most a few thousand keys, and the heads of at most a thousand records,
    /// whatever `limit` is. Where the backend allows it, it reads the heads alone.
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page>;
}
