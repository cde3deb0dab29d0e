//! Two stores as one, while the sessions move from one to the other.
//!
//! A record is in the new store, or else in the old one. The first change of a record in the old
//! store moves it, and so does [`Moving::carry`]:
//!
//! 1. Compare-and-set in the old store: a *mark*, which has the new record in it, replaces the
//!    record. From then on the change has happened, and nobody changes the old store's record.
//! 2. The record is inserted into the new store. Whoever finds the mark and no record in the new
//!    store does this too. So a process that stops after the first step loses nothing.
//! 3. The mark is removed.
//!
//! Before a record ends, or ends earlier than before, what the old store still has of it is removed.
//! So nothing there outlives it.
//!
//! **The way back** may begin while there are marks, and beside processes that still make some. The
//! store that they are in is the *new* one then. Whoever finds such a mark finishes that move: inserts
//! the record into the store that it was to go to, and then clears the mark by compare-and-set. It
//! must be gone before the session is used, or it would outlive it. It is not deleted: between the
//! comparison and the deletion the record may have come back. An empty tombstone replaces it, which
//! counts as nothing here, and as an ended session in a store that is used alone.
//!
//! So a mark in one store is made only by who has seen none in the other.
//!
//! **A process that was suspended** must not take the next step of a move when others have finished
//! the move, used the session and ended it, and even the tombstone is gone. So each step has to follow
//! the one before within a minute.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    codec,
    error::{Error, Result},
    expiry::Millis,
    header::{Header, Kind},
    key::{KeyPrefix, OwnerKey, StoreKey},
    measure,
    record::{Cursor, IndexEntry, Listed, Loaded, Page, Record, Revision, Write},
    store::{Connections, OwnerIndex, Scan, SessionStore},
};

/// A store that moves the sessions of one store to another while applications run on it.
///
/// Every process must know that the sessions move before the first one does:
///
/// 1. All processes run on the old store.
/// 2. Deploy [`Moving::announced`] to all of them. It reads both stores and moves nothing.
/// 3. When no process runs on the old store alone any more, deploy [`Moving::new`].
/// 4. When no process is left at step 2, carry the records that nobody changes, by
///    [`Sessions::carry`](crate::Sessions::carry).
/// 5. When that has carried all, deploy the new store alone.
///
/// The way back is the same with the stores exchanged, and may begin at any step: a process with
/// [`announced`](Self::announced) may run beside those that move in the other direction. Processes that
/// move in opposite directions must not run at the same time; a session that both have at once is an
/// error then.
///
/// Both stores have the same keys, so the settings stay as they are. A request whose session is in
/// neither store, or in the old one, needs both. If one is down, such a request is an error; nothing
/// counts as absent that may be there.
///
/// A new session costs one more call, of the old store, and so does the end of one. The first change
/// of a session costs two more. While a move is announced, a list reads the old store twice.
///
/// A process that was suspended for more than a minute while it moved a session answers with an error;
/// the next request finishes the move. One that was suspended between its look at the time and the
/// call after it, for more than ten minutes, may bring back a session that has ended.
///
/// If the old store has no [`Scan`], step 4 is not possible. The sessions that nobody changes then end by
/// their idle timeout, and the new store alone may be deployed after it.
///
/// Not for sessions in Flask's form, whose ends leave nothing behind that a late move would meet.
/// Records that expire are swept in each store by itself.
#[derive(Clone)]
pub struct Moving {
    new: Arc<dyn SessionStore>,
    old: Arc<dyn SessionStore>,
    moves: bool,
}

/// What begins a mark; neither a native record nor one of Flask begins with it.
const MARK: u8 = 0xc1 + 1;
/// The mark, and the time until which the record is kept, in milliseconds since 1970.
const MARK_LENGTH: usize = 1 + 8;

/// How often a load finds a record on its way before it gives up.
const ATTEMPTS: usize = 5;

/// After this time the next step of a move is not taken. It is well below the ten minutes for which a
/// store keeps the tombstone of a session that ended meanwhile.
const LATE: Duration = Duration::from_secs(60);

/// When a mark was seen or made, at the latest.
#[derive(Clone, Copy)]
struct Seen {
    /// Goes on while the process is suspended, but not while the machine is.
    clock: Instant,
    /// Goes on while the machine is suspended, but may be set.
    wall: SystemTime,
}

impl Seen {
    fn now() -> Self {
        let (clock, wall) = (Instant::now(), SystemTime::now());
        Self { clock, wall }
    }

    /// Whether the next step may still be taken.
    fn is_fresh(self) -> bool {
        let by_wall = self.wall.elapsed().unwrap_or_default();
        self.clock.elapsed().max(by_wall) < LATE
    }
}

/// What a record is to a move.
enum Found {
    Record(Loaded),
    /// A mark: the record in it is to be in the other store.
    Mark(Record, Revision),
    /// What is left of a mark, or nothing at all.
    Nothing(Option<Revision>),
}

impl Found {
    fn of(loaded: Option<Loaded>) -> Self {
        let Some(loaded) = loaded else {
            return Self::Nothing(None);
        };
        match marked(&loaded.bytes) {
            Some(record) => Self::Mark(record, loaded.revision),
            None if is_nothing(&loaded.bytes) => Self::Nothing(Some(loaded.revision)),
            None => Self::Record(loaded),
        }
    }
}

/// Where a page begins: in which store, and there.
struct Place {
    pass: Pass,
    inner: Option<Cursor>,
}

/// The stores in the order in which their pages are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Old,
    New,
    /// Once more, because others may move from the new store to the old one.
    OldAgain,
}

/// Where a revision is from.
enum Origin {
    /// The old store.
    Old(Revision),
    /// The new store. The record ends at this time, or it is unknown.
    New(Option<Millis>, Revision),
}

impl Moving {
    /// Moves sessions from `old` to `new`: each with its first change.
    pub fn new(new: Arc<dyn SessionStore>, old: Arc<dyn SessionStore>) -> Self {
        let moves = true;
        Self { new, old, moves }
    }

    /// Reads both stores, and writes a record where it is. New sessions are in `old`.
    pub fn announced(new: Arc<dyn SessionStore>, old: Arc<dyn SessionStore>) -> Self {
        let moves = false;
        Self { new, old, moves }
    }

    pub(crate) fn old(&self) -> Arc<dyn SessionStore> {
        self.old.clone()
    }

    /// Moves the record under `key` as it is, if it is in the old store. `kept_until` tells from
    /// its bytes until when a store has to keep it; a record that it has no time for is left where
    /// it is. Returns whether a record was moved.
    ///
    /// # Errors
    ///
    /// Those of the stores, and one if others change the record each time: it may still be in the old
    /// store then.
    pub(crate) async fn carry(
        &self,
        key: &StoreKey,
        kept_until: impl Fn(&Bytes) -> Option<SystemTime>,
    ) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let Some(loaded) = self.load(key).await? else {
                return Ok(false);
            };
            let revision = match Origin::of(&loaded.revision) {
                Some(Origin::Old(revision)) => revision,
                // What is in the old store is a mark or a copy that was left.
                Some(Origin::New(_, revision)) => {
                    if self.clear_old(key, &revision).await? {
                        return Ok(false);
                    }
                    continue;
                }
                None => return Ok(false),
            };
            let Some(expires_at) = kept_until(&loaded.bytes) else {
                return Ok(false);
            };
            let (size, limit) = (loaded.bytes.len(), self.limit());
            if size > limit {
                return Err(Error::TooLarge { size, limit });
            }
            let record = Record {
                bytes: loaded.bytes,
                expires_at,
                entry: None,
            };
            let seen = Seen::now();
            if self.claim(key, &record, &revision).await? {
                self.finish(key, &record, seen).await?;
                return Ok(true);
            }
            // Another process has taken the first step, and may have been killed after it.
        }
        Err(Error::Contended)
    }

    /// The first step of a move. Returns whether it was taken.
    pub(crate) async fn claim(
        &self,
        key: &StoreKey,
        record: &Record,
        revision: &Revision,
    ) -> Result<bool> {
        let write = self.old.update(key, &mark(record), revision).await?;
        Ok(write.is_stored())
    }

    /// The other steps. Returns the revision in the new store.
    async fn finish(&self, key: &StoreKey, record: &Record, seen: Seen) -> Result<Revision> {
        let record = &with_entry(key, record);
        if !seen.is_fresh() {
            return Err(late());
        }
        let revision = match self.new.insert(key, record).await? {
            Write::Stored(revision) => {
                measure::moved();
                revision
            }
            Write::Refused => match Found::of(self.new.load(key).await?) {
                // What an earlier move in the other direction left.
                Found::Mark(_, found) | Found::Nothing(Some(found)) => {
                    match self.new.update(key, record, &found).await? {
                        Write::Stored(revision) => {
                            measure::moved();
                            revision
                        }
                        Write::Refused => unknown(),
                    }
                }
                // Somebody else took this step.
                Found::Record(found) if found.bytes == record.bytes => found.revision,
                // And it was changed since.
                Found::Record(_) | Found::Nothing(None) => unknown(),
            },
        };
        if !seen.is_fresh() {
            return Ok(revision);
        }
        if let Err(error) = self.old.delete(key).await {
            tracing::debug!(
                ?key,
                error = &error as &dyn std::error::Error,
                "a session has moved, but its mark is left in the old store"
            );
        }
        Ok(revision)
    }

    /// Finishes a move in the other direction, whose mark in the new store has this `record`.
    async fn finish_other(
        &self,
        key: &StoreKey,
        record: &Record,
        marked: &Revision,
        seen: Seen,
    ) -> Result<()> {
        let place = match Found::of(self.old.load(key).await?) {
            Found::Record(_) => None,
            Found::Nothing(left) => Some(left),
            Found::Mark(..) => return Err(to_and_fro()),
        };
        if !seen.is_fresh() {
            return Err(late());
        }
        let record = &with_entry(key, record);
        let inserted = match place {
            None => None,
            Some(None) => Some(self.old.insert(key, record).await?),
            Some(Some(left)) => Some(self.old.update(key, record, &left).await?),
        };
        let cleared = self.new.update(key, &nothing(key)?, marked).await?;
        // The mark is gone: who made it has finished, or somebody else, and then the record may have
        // come back from the old store before it was inserted there again.
        if let (Write::Refused, Some(Write::Stored(revision))) = (cleared, inserted)
            && let Found::Record(_) = Found::of(self.new.load(key).await?)
        {
            let _undone = self.old.update(key, &nothing(key)?, &revision).await?;
        }
        Ok(())
    }

    /// Removes what the old store still has of the record that has this revision in the new store.
    /// Returns false if the record was changed meanwhile.
    async fn clear_old(&self, key: &StoreKey, revision: &Revision) -> Result<bool> {
        let left = match Found::of(self.old.load(key).await?) {
            Found::Record(Loaded { revision, .. }) | Found::Mark(_, revision) => revision,
            Found::Nothing(_) => return Ok(true),
        };
        // If another process moves in the other direction, it may have moved there.
        let now = self.new.load(key).await?;
        if now.is_none_or(|now| now.revision != *revision) {
            return Ok(false);
        }
        let cleared = self.old.update(key, &nothing(key)?, &left).await?;
        Ok(cleared.is_stored())
    }

    /// Inserts a record whose key others may insert, too, into the other store.
    async fn insert_given(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        if self.load(key).await?.is_some() {
            return Ok(Write::Refused);
        }
        if !self.moves {
            let Write::Stored(revision) = put(&*self.old, key, record).await? else {
                return Ok(Write::Refused);
            };
            // Another process may have moved its own to the new store meanwhile.
            return match Found::of(self.new.load(key).await?) {
                Found::Nothing(_) => Ok(Write::Stored(Origin::Old(revision).tagged())),
                Found::Record(_) | Found::Mark(..) => {
                    let _undone = self.old.update(key, &nothing(key)?, &revision).await?;
                    Ok(Write::Refused)
                }
            };
        }
        let seen = Seen::now();
        if !put(&*self.old, key, &mark(record)).await?.is_stored() {
            return Ok(Write::Refused);
        }
        let revision = self.finish(key, record, seen).await?;
        if revision == unknown() {
            return Ok(Write::Refused);
        }
        Ok(Write::Stored(
            Origin::New(end_of(&record.bytes), revision).tagged(),
        ))
    }

    /// A page of one store after the other, in an order that has a record that moves meanwhile. `list`
    /// reads a page of the new store, if it is told so, or else of the old one.
    async fn page<'s>(
        &self,
        cursor: Option<&Cursor>,
        limit: usize,
        list: impl Fn(bool, Option<Cursor>, usize) -> BoxFuture<'s, Result<Page>>,
    ) -> Result<Page> {
        let (mut records, limit) = (Vec::new(), limit.max(1));
        let Place {
            mut pass,
            mut inner,
        } = Place::of(cursor)?;
        loop {
            let mut page = list(pass == Pass::New, inner, limit - records.len()).await?;
            if pass == Pass::OldAgain {
                // Nobody moves what cannot be read, so the first pass has had it.
                page.records
                    .retain(|it| Header::parse(unmarked(&it.head)).is_ok());
            }
            records.extend(self.unmarked(page.records).await?);
            (pass, inner) = match (page.next, pass.next(self.moves)) {
                (Some(next), _) => (pass, Some(next)),
                (None, Some(pass)) => (pass, None),
                (None, None) => {
                    let next = None;
                    return Ok(Page { records, next });
                }
            };
            if inner.is_some() || records.len() >= limit {
                let next = Some(Place { pass, inner }.cursor());
                return Ok(Page { records, next });
            }
        }
    }

    /// The records of a page, in place of their marks.
    async fn unmarked(&self, page: Vec<Listed>) -> Result<Vec<Listed>> {
        let mut records = Vec::with_capacity(page.len());
        for listed in page {
            if is_nothing(&listed.head) {
                continue;
            }
            if is_marked(&listed.head) {
                let loaded = self.load(&listed.key).await?;
                records.extend(loaded.map(|loaded| Listed {
                    key: listed.key,
                    head: loaded.bytes,
                }));
            } else {
                records.push(listed);
            }
        }
        Ok(records)
    }
}

#[async_trait]
impl SessionStore for Moving {
    fn limit(&self) -> usize {
        let old = self.old.limit().saturating_sub(MARK_LENGTH);
        self.new.limit().min(old)
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        for _ in 0..ATTEMPTS {
            let seen = Seen::now();
            match Found::of(self.new.load(key).await?) {
                Found::Record(found) => return Ok(Some(of_new(found))),
                Found::Mark(record, marked) => {
                    self.finish_other(key, &record, &marked, seen).await?;
                    continue;
                }
                Found::Nothing(_) => {}
            }
            match Found::of(self.old.load(key).await?) {
                Found::Record(found) => return Ok(Some(of_old(found))),
                Found::Mark(record, _) => {
                    self.finish(key, &record, seen).await?;
                    continue;
                }
                Found::Nothing(_) => {}
            }
            // It may have moved between the two loads.
            match Found::of(self.new.load(key).await?) {
                Found::Record(found) => return Ok(Some(of_new(found))),
                Found::Mark(..) => {}
                Found::Nothing(_) => return Ok(None),
            }
        }
        Err(to_and_fro())
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        if is_given(key, record) {
            return self.insert_given(key, record).await;
        }
        // The id of the session is random: nobody else inserts it meanwhile.
        if !self.moves {
            return Ok(match self.old.insert(key, record).await? {
                Write::Stored(revision) => Write::Stored(Origin::Old(revision).tagged()),
                Write::Refused => Write::Refused,
            });
        }
        if self.old.load(key).await?.is_some() {
            return Ok(Write::Refused);
        }
        Ok(stored_in_new(self.new.insert(key, record).await?, record))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        match Origin::of(revision) {
            None => Ok(Write::Refused),
            Some(Origin::New(end, revision)) => {
                let ends = end_of(&record.bytes).is_none_or(|it| end.is_none_or(|end| it < end));
                if ends && !self.clear_old(key, &revision).await? {
                    return Ok(Write::Refused);
                }
                let write = self.new.update(key, record, &revision).await?;
                Ok(stored_in_new(write, record))
            }
            Some(Origin::Old(revision)) if self.moves => {
                let seen = Seen::now();
                if !self.claim(key, record, &revision).await? {
                    return Ok(Write::Refused);
                }
                let revision = self.finish(key, record, seen).await?;
                Ok(Write::Stored(
                    Origin::New(end_of(&record.bytes), revision).tagged(),
                ))
            }
            Some(Origin::Old(revision)) => {
                Ok(match self.old.update(key, record, &revision).await? {
                    Write::Stored(revision) => Write::Stored(Origin::Old(revision).tagged()),
                    Write::Refused => Write::Refused,
                })
            }
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.old.delete(key).await?;
        self.new.delete(key).await
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        let stores = [self.old.clone(), self.new.clone()];
        let both = stores.into_iter().all(|it| it.owner_index().is_some());
        both.then_some(self as Arc<dyn OwnerIndex>)
    }

    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        let stores = [self.old.clone(), self.new.clone()];
        let both = stores.into_iter().all(|it| it.scan().is_some());
        both.then_some(self as Arc<dyn Scan>)
    }

    fn connections(&self) -> Option<Connections> {
        match (self.old.connections(), self.new.connections()) {
            (Some(old), Some(new)) => Some(old.and(new)),
            (old, new) => old.or(new),
        }
    }
}

const NO_INDEX: &str = "both stores must be able to list";

#[async_trait]
impl OwnerIndex for Moving {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let stores = [self.old.clone(), self.new.clone()];
        let [Some(old), Some(new)] = stores.map(SessionStore::owner_index) else {
            return Err(Error::unsuitable("moving", NO_INDEX));
        };
        let list = |in_new, cursor: Option<Cursor>, limit| -> BoxFuture<'_, Result<Page>> {
            let index = if in_new { new.clone() } else { old.clone() };
            Box::pin(async move { index.owned_by(owner, cursor.as_ref(), limit).await })
        };
        self.page(cursor, limit, list).await
    }
}

#[async_trait]
impl Scan for Moving {
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let stores = [self.old.clone(), self.new.clone()];
        let [Some(old), Some(new)] = stores.map(SessionStore::scan) else {
            return Err(Error::unsuitable("moving", NO_INDEX));
        };
        let list = |in_new, cursor: Option<Cursor>, limit| -> BoxFuture<'_, Result<Page>> {
            let scan = if in_new { new.clone() } else { old.clone() };
            Box::pin(async move { scan.records(prefix, cursor.as_ref(), limit).await })
        };
        self.page(cursor, limit, list).await
    }
}

impl Origin {
    const OLD: u8 = 0;
    const NEW: u8 = 1;

    fn tagged(self) -> Revision {
        let bytes = match self {
            Self::Old(revision) => [&[Self::OLD], revision.as_bytes()].concat(),
            Self::New(end, revision) => {
                let end = end.map_or(u64::MAX, Millis::get).to_be_bytes();
                [&[Self::NEW], &end[..], revision.as_bytes()].concat()
            }
        };
        Revision::new(bytes)
    }

    /// `None` if it is the revision of another store.
    fn of(revision: &Revision) -> Option<Self> {
        let (place, rest) = revision.as_bytes().split_first()?;
        let inner = |bytes: &[u8]| Revision::new(Bytes::copy_from_slice(bytes));
        match *place {
            Self::OLD => Some(Self::Old(inner(rest))),
            Self::NEW => {
                let (end, rest) = rest.split_first_chunk()?;
                let end = u64::from_be_bytes(*end);
                let end = (end != u64::MAX).then(|| Millis::new(end));
                Some(Self::New(end, inner(rest)))
            }
            _ => None,
        }
    }
}

fn of_old(loaded: Loaded) -> Loaded {
    Loaded {
        revision: Origin::Old(loaded.revision).tagged(),
        ..loaded
    }
}

fn of_new(loaded: Loaded) -> Loaded {
    Loaded {
        revision: Origin::New(end_of(&loaded.bytes), loaded.revision).tagged(),
        ..loaded
    }
}

fn stored_in_new(write: Write, record: &Record) -> Write {
    match write {
        Write::Stored(revision) => {
            Write::Stored(Origin::New(end_of(&record.bytes), revision).tagged())
        }
        Write::Refused => Write::Refused,
    }
}

/// The revision of a record that was changed since: no record has it.
fn unknown() -> Revision {
    Revision::new(Bytes::new())
}

/// When the session in these bytes ends. `None` if it has ended, was renewed, or cannot be read.
fn end_of(bytes: &[u8]) -> Option<Millis> {
    let (header, _) = Header::parse(bytes).ok()?;
    matches!(header.kind, Kind::Live | Kind::Logins).then_some(header.expires_at)
}

/// Inserts a record, also in place of what is left of a mark.
async fn put(store: &dyn SessionStore, key: &StoreKey, record: &Record) -> Result<Write> {
    let written = store.insert(key, record).await?;
    if written.is_stored() {
        return Ok(written);
    }
    match Found::of(store.load(key).await?) {
        Found::Nothing(Some(left)) => store.update(key, record, &left).await,
        Found::Nothing(None) | Found::Mark(..) | Found::Record(_) => Ok(Write::Refused),
    }
}

/// Whether something else than chance made the key of this new record, so that another process may
/// make the same: the records of logins, notes, and sessions that a cookie of Flask's starts.
fn is_given(key: &StoreKey, record: &Record) -> bool {
    key.is_of_logins()
        || Header::parse(&record.bytes)
            .is_ok_and(|(it, _)| it.kind != Kind::Live || it.flask_cookie.is_some())
}

fn late() -> Error {
    let text = "the process was suspended while a session moved; the next request goes on";
    Error::backend("moving", text)
}

fn to_and_fro() -> Error {
    Error::backend(
        "moving",
        "the session moves to and fro: one process moves to the new store, another one back",
    )
}

/// What replaces a mark, or a copy that was left: a tombstone of nobody's. The store may remove it at
/// once.
fn nothing(key: &StoreKey) -> Result<Record> {
    let tag = getrandom::u64().map_err(|error| Error::backend("random", error))?;
    let at = Millis::default();
    Ok(Record {
        bytes: codec::note(key, at, at, tag.to_be_bytes()),
        expires_at: SystemTime::now(),
        entry: None,
    })
}

fn is_nothing(bytes: &[u8]) -> bool {
    let header = Header::parse(bytes);
    header.is_ok_and(|(it, _)| it.kind == Kind::Ended && it.expires_at == Millis::default())
}

/// The record that moves, if `head` is the beginning of a mark, or else itself.
pub(crate) fn unmarked(head: &[u8]) -> &[u8] {
    match head.first() {
        Some(&MARK) => head.get(MARK_LENGTH..).unwrap_or_default(),
        _ => head,
    }
}

pub(crate) fn is_marked(bytes: &[u8]) -> bool {
    bytes.first() == Some(&MARK)
}

/// What replaces the record that moves: the mark, with the record in it. The old store's index has
/// its entry, so that a list names the session although a process stops on the way.
fn mark(record: &Record) -> Record {
    let kept_until = Millis::from(record.expires_at).get().to_be_bytes();
    Record {
        bytes: [&[MARK], &kept_until[..], &record.bytes].concat().into(),
        expires_at: record.expires_at,
        entry: record.entry.clone(),
    }
}

/// The record in a mark.
fn marked(bytes: &Bytes) -> Option<Record> {
    let (kept_until, _) = bytes.strip_prefix(&[MARK])?.split_first_chunk()?;
    Some(Record {
        bytes: bytes.slice(MARK_LENGTH..),
        expires_at: Millis::new(u64::from_be_bytes(*kept_until)).into(),
        entry: None,
    })
}

/// The record with the entry that it has in the index of its owner.
fn with_entry(key: &StoreKey, record: &Record) -> Record {
    let entry = record.entry.clone().or_else(|| entry_of(key, record));
    Record {
        entry,
        ..record.clone()
    }
}

/// The entry that the record has in the index of its owner, by its header.
fn entry_of(key: &StoreKey, record: &Record) -> Option<IndexEntry> {
    let (header, _) = Header::parse(&record.bytes).ok()?;
    let until = match header.kind {
        Kind::Live => header.indexed_until?,
        Kind::Forwarded => header.expires_at,
        Kind::Ended | Kind::Logins => return None,
    };
    let prefix = key.prefix()?;
    Some(IndexEntry {
        owner: prefix.owner_key(header.owner?),
        provider_session: header.provider_session.map(|it| prefix.key_of_sid(&it)),
        expires_at: until.into(),
    })
}

impl Pass {
    /// Who moves sessions to the new store runs beside nobody who moves them back.
    fn next(self, moves: bool) -> Option<Self> {
        match self {
            Self::Old => Some(Self::New),
            Self::New if !moves => Some(Self::OldAgain),
            Self::New | Self::OldAgain => None,
        }
    }
}

impl Place {
    const START: Self = Self {
        pass: Pass::Old,
        inner: None,
    };

    fn of(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self::START);
        };
        let (pass, inner) = match cursor.as_bytes() {
            [b'o', inner @ ..] => (Pass::Old, inner),
            [b'n', inner @ ..] => (Pass::New, inner),
            [b'a', inner @ ..] => (Pass::OldAgain, inner),
            _ => return Err(Error::corrupt("the cursor is not one of this store")),
        };
        let inner = (!inner.is_empty()).then(|| Cursor::new(inner.to_vec()));
        Ok(Self { pass, inner })
    }

    fn cursor(&self) -> Cursor {
        let pass = match self.pass {
            Pass::Old => b'o',
            Pass::New => b'n',
            Pass::OldAgain => b'a',
        };
        let inner = self.inner.as_ref().map_or(&[][..], Cursor::as_bytes);
        Cursor::new([&[pass], inner].concat())
    }
}

impl fmt::Debug for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moving")
            .field("new", &self.new)
            .field("old", &self.old)
            .field("moves", &self.moves)
            .finish()
    }
}

#[cfg(test)]
mod tests;
