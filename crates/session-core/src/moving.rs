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
//! A record that ends, or ends earlier than before, is first removed from the old store. So nothing
//! there outlives it.

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{
    error::{Error, Result},
    expiry::Millis,
    header::{Header, Kind},
    key::{KeyPrefix, OwnerKey, StoreKey},
    record::{Cursor, IndexEntry, Listed, Loaded, Page, Record, Revision, Write},
    store::{OwnerIndex, Scan, SessionStore},
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
/// The way back is the same with the stores exchanged, and may begin at any step.
///
/// Both stores have the same keys, so the settings stay as they are. A request whose session is in
/// neither store, or in the old one, needs both. If one is down, such a request is an error; nothing
/// counts as absent that may be there.
///
/// A new session costs one more call, of the old store, and so does the end of one. The first change
/// of a session costs two more.
///
/// If the old store cannot be read as a whole, as memcached, step 4 is not possible. The sessions that
/// nobody changes then end by their idle timeout, and the new store alone may be deployed after it.
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

/// Where a page begins: in which store, and there.
enum Place {
    InOld(Option<Cursor>),
    InNew(Option<Cursor>),
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
    pub(crate) async fn carry(
        &self,
        key: &StoreKey,
        kept_until: impl Fn(&Bytes) -> Option<SystemTime>,
    ) -> Result<bool> {
        let Some(loaded) = self.old.load(key).await? else {
            return Ok(false);
        };
        let record = if let Some(record) = marked(&loaded.bytes) {
            record
        } else {
            let Some(expires_at) = kept_until(&loaded.bytes) else {
                return Ok(false);
            };
            let bytes = loaded.bytes;
            let record = Record {
                bytes,
                expires_at,
                entry: None,
            };
            if !self.claim(key, &record, &loaded.revision).await? {
                return Ok(false);
            }
            record
        };
        self.finish(key, &record).await?;
        Ok(true)
    }

    /// The first step of a move. Returns whether it was taken.
    async fn claim(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<bool> {
        let write = self.old.update(key, &mark(record), revision).await?;
        Ok(write.is_stored())
    }

    /// The other steps. Returns the revision in the new store.
    async fn finish(&self, key: &StoreKey, record: &Record) -> Result<Revision> {
        let entry = record.entry.clone().or_else(|| entry_of(key, record));
        let record = &Record {
            entry,
            ..record.clone()
        };
        let revision = match self.new.insert(key, record).await? {
            Write::Stored(revision) => revision,
            Write::Refused => match self.new.load(key).await? {
                // What an earlier move in the other direction left.
                Some(found) if is_marked(&found.bytes) => {
                    match self.new.update(key, record, &found.revision).await? {
                        Write::Stored(revision) => revision,
                        Write::Refused => unknown(),
                    }
                }
                // Somebody else took this step.
                Some(found) if found.bytes == record.bytes => found.revision,
                // And it was changed since.
                _ => unknown(),
            },
        };
        if let Err(error) = self.old.delete(key).await {
            tracing::debug!(
                ?key,
                error = &error as &dyn std::error::Error,
                "a session has moved, but its mark is left in the old store"
            );
        }
        Ok(revision)
    }

    /// A page of the old store and then of the new one, so that it has a record that moves meanwhile.
    async fn page<'s>(
        &self,
        cursor: Option<&Cursor>,
        limit: usize,
        in_old: impl FnOnce(Option<Cursor>, usize) -> BoxFuture<'s, Result<Page>>,
        in_new: impl FnOnce(Option<Cursor>, usize) -> BoxFuture<'s, Result<Page>>,
    ) -> Result<Page> {
        let (mut records, mut left) = (Vec::new(), limit.max(1));
        let cursor = match Place::of(cursor)? {
            Place::InNew(cursor) => cursor,
            Place::InOld(cursor) => {
                let page = in_old(cursor, left).await?;
                records = self.unmarked(page.records).await?;
                left = left.saturating_sub(records.len());
                if page.next.is_some() {
                    let next = Some(Place::InOld(page.next).cursor());
                    return Ok(Page { records, next });
                }
                None
            }
        };
        if left == 0 {
            let next = Some(Place::InNew(None).cursor());
            return Ok(Page { records, next });
        }
        let page = in_new(cursor, left).await?;
        records.extend(self.unmarked(page.records).await?);
        let next = page.next.map(|next| Place::InNew(Some(next)).cursor());
        Ok(Page { records, next })
    }

    /// The records of a page, in place of their marks.
    async fn unmarked(&self, page: Vec<Listed>) -> Result<Vec<Listed>> {
        let mut records = Vec::with_capacity(page.len());
        for listed in page {
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
            match self.new.load(key).await? {
                Some(found) => match marked(&found.bytes) {
                    None => return Ok(Some(of_new(found))),
                    // What an earlier move in the other direction left.
                    Some(record) => match self.old.load(key).await? {
                        Some(old) if !is_marked(&old.bytes) => return Ok(Some(of_old(old))),
                        _ => drop(self.new.update(key, &record, &found.revision).await?),
                    },
                },
                None => match self.old.load(key).await? {
                    Some(found) => match marked(&found.bytes) {
                        None => return Ok(Some(of_old(found))),
                        Some(record) => drop(self.finish(key, &record).await?),
                    },
                    // It may have moved between the two loads.
                    None => match self.new.load(key).await? {
                        Some(found) if is_marked(&found.bytes) => {}
                        found => return Ok(found.map(of_new)),
                    },
                },
            }
        }
        Err(Error::backend(
            "moving",
            "the session moves to and fro: one process moves to the new store, another one back",
        ))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        if !self.moves {
            let Write::Stored(revision) = self.old.insert(key, record).await? else {
                return Ok(Write::Refused);
            };
            // Another process may have moved its own to the new store meanwhile.
            if key.is_of_logins() && self.new.load(key).await?.is_some() {
                self.old.delete(key).await?;
                return Ok(Write::Refused);
            }
            return Ok(Write::Stored(Origin::Old(revision).tagged()));
        }
        if !key.is_of_logins() {
            // The id of a session is random: nobody else inserts it meanwhile.
            if self.old.load(key).await?.is_some() {
                return Ok(Write::Refused);
            }
            return Ok(stored_in_new(self.new.insert(key, record).await?, record));
        }
        // The key of an owner's logins is not, and others may insert it into the old store.
        if !self.old.insert(key, &mark(record)).await?.is_stored() {
            return Ok(Write::Refused);
        }
        let revision = self.finish(key, record).await?;
        if revision == unknown() {
            return Ok(Write::Refused);
        }
        Ok(Write::Stored(
            Origin::New(end_of(&record.bytes), revision).tagged(),
        ))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        match Origin::of(revision) {
            None => Ok(Write::Refused),
            Some(Origin::New(end, revision)) => {
                if end_of(&record.bytes).is_none_or(|it| end.is_none_or(|end| it < end)) {
                    self.old.delete(key).await?;
                }
                let write = self.new.update(key, record, &revision).await?;
                Ok(stored_in_new(write, record))
            }
            Some(Origin::Old(revision)) if self.moves => {
                if !self.claim(key, record, &revision).await? {
                    return Ok(Write::Refused);
                }
                let revision = self.finish(key, record).await?;
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
        let call = |index: Arc<dyn OwnerIndex>| {
            move |cursor: Option<Cursor>, limit| -> BoxFuture<'_, Result<Page>> {
                Box::pin(async move { index.owned_by(owner, cursor.as_ref(), limit).await })
            }
        };
        self.page(cursor, limit, call(old), call(new)).await
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
        let call = |scan: Arc<dyn Scan>| {
            move |cursor: Option<Cursor>, limit| -> BoxFuture<'_, Result<Page>> {
                Box::pin(async move { scan.records(prefix, cursor.as_ref(), limit).await })
            }
        };
        self.page(cursor, limit, call(old), call(new)).await
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

impl Place {
    const OLD: u8 = b'o';
    const NEW: u8 = b'n';

    fn of(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self::InOld(None));
        };
        match cursor.as_bytes() {
            [Self::OLD, inner @ ..] => Ok(Self::InOld(Some(Cursor::new(inner.to_vec())))),
            [Self::NEW] => Ok(Self::InNew(None)),
            [Self::NEW, inner @ ..] => Ok(Self::InNew(Some(Cursor::new(inner.to_vec())))),
            _ => Err(Error::corrupt("the cursor is not one of this store")),
        }
    }

    fn cursor(&self) -> Cursor {
        let (place, inner) = match self {
            Self::InOld(inner) => (Self::OLD, inner),
            Self::InNew(inner) => (Self::NEW, inner),
        };
        let inner = inner.as_ref().map_or(&[][..], Cursor::as_bytes);
        Cursor::new([&[place], inner].concat())
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
