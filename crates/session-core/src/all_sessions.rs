//! All sessions of a store, whoever they belong to: to count, list, end and copy them.

#[cfg(feature = "encryption")]
mod encrypted;

use std::{collections::HashSet, fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::{
    Lineage,
    codec::{self, of_header},
    error::{Error, Result},
    expiry::Millis,
    header::{Header, Kind},
    key::StoreKey,
    machine::EndCondition,
    moving::{Moving, is_marked, unmarked},
    owned::{PATIENCE, end_record},
    payload::Payload,
    record::{Cursor, IndexEntry, Listed, Record, Write},
    rules::{Form, LoadedRecord, Rules, TOMBSTONE_LIFE},
    sessions::Sessions,
    shared::Shared,
    store::Scan,
};

/// How many records a page of a user's list has.
const LISTED: usize = 1000;

/// How many records are copied or moved at once.
const AT_ONCE: usize = 32;

/// All sessions of an application, for its administrators.
///
/// [`Sessions::all`] returns it.
#[derive(Clone)]
pub struct AllSessions {
    shared: Arc<Shared>,
    scan: Arc<dyn Scan>,
}

/// A live session, as its record's header describes it.
#[derive(Clone)]
pub struct StoredSession {
    key: StoreKey,
    lineage: Lineage,
    owner: Option<Arc<str>>,
    label: Option<Arc<str>>,
    created_at: SystemTime,
    authenticated_at: Option<SystemTime>,
    used_at: SystemTime,
    expires_at: SystemTime,
    /// The record is a mark: it is on its way to another store.
    moves: bool,
}

impl StoredSession {
    /// A value that names the session before and after renewals, and gives no access to it.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The user that the session belongs to.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The label that [`Session::set_label`](crate::Session::set_label) gave it.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// When it was created.
    pub fn created_at(&self) -> SystemTime {
        self.created_at
    }

    /// When its user last logged in or reauthenticated.
    pub fn authenticated_at(&self) -> Option<SystemTime> {
        self.authenticated_at
    }

    /// When it was last used, as exactly as [`OwnedSession::last_seen`](crate::OwnedSession::last_seen)
    /// says it.
    pub fn last_seen(&self) -> SystemTime {
        self.used_at
    }

    /// When it ends unless it is used, as its record says. Applications whose timeouts were lowered
    /// since end it earlier.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for StoredSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSession")
            .field("lineage", &self.lineage)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A page of an application's records.
#[derive(Debug)]
pub struct SessionsPage {
    /// The sessions that are live by what their records say, whatever the timeouts of these settings
    /// are: those of an application may be others. One may be on more than one page.
    pub sessions: Vec<StoredSession>,
    /// Records of sessions whose time has passed, as they say. The store removes them ten minutes
    /// later.
    pub expired: u64,
    /// What renewed and ended sessions leave for a while, and the records of logins.
    pub tombstones: u64,
    /// Why each of the other records cannot be read.
    pub unreadable: Vec<Error>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// What came of a page of [`AllSessions::copy`], of [`Sessions::carry`], or of `AllSessions::encrypt_anew`.
#[derive(Debug, Default)]
pub struct CopiedPage {
    /// Records that are in the other store now, and were not before, or were older there.
    pub copied: u64,
    /// Records that it had already, or that moved by a request, or were left of a move.
    pub present: u64,
    /// Records whose time has passed.
    pub expired: u64,
    /// Why each of the other records was left where it is.
    pub failed: Vec<Error>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

impl CopiedPage {
    /// Waits for `copies`, several at once.
    async fn of(
        copies: impl Iterator<Item = impl Future<Output = Result<Copied>>>,
        next: Option<Cursor>,
    ) -> Self {
        let mut page = Self {
            next,
            ..Self::default()
        };
        let mut outcomes = stream::iter(copies).buffer_unordered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(Copied::Now) => page.copied += 1,
                Ok(Copied::Before) => page.present += 1,
                Ok(Copied::Expired) => page.expired += 1,
                Err(error) => page.failed.push(error),
            }
        }
        page
    }
}

enum Copied {
    Now,
    Before,
    Expired,
}

impl Sessions {
    /// All sessions, whoever they belong to.
    ///
    /// # Errors
    ///
    /// If the store cannot list all of its records, or if the sessions are not in native form only.
    pub fn all(&self) -> Result<AllSessions> {
        let shared = &self.0;
        if !shared.rules.settings.is_native() {
            return Err(Error::NoScan);
        }
        let scan = shared.store.clone().scan().ok_or(Error::NoScan)?;
        let shared = shared.clone();
        Ok(AllSessions { shared, scan })
    }

    /// Moves a page of the records that are still in the old store of `moving`, from `cursor` or from
    /// the start. [`Moving`] says when. The settings are those of the applications; the store of these
    /// sessions is not used.
    ///
    /// It may be stopped at any time, and begun again at any page.
    ///
    /// # Errors
    ///
    /// If the old store cannot list its records, or fails. Records that cannot be moved are on the
    /// page.
    pub async fn carry(
        &self,
        moving: &Moving,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CopiedPage> {
        let rules = &self.0.rules;
        let scan = moving.old().scan().ok_or(Error::NoScan)?;
        let page = scan.records(&rules.settings.prefix, cursor, limit);
        let page = within(rules, page).await?;
        let now = self.0.now();
        let moves = page.records.iter().map(async |listed| {
            let expired = match Header::parse(unmarked(&listed.head)) {
                Ok((header, _)) => rules.copied_until(&header, now).is_none(),
                Err(_) if is_marked(&listed.head) => false,
                Err(error) => return Err(error),
            };
            let kept_until = |bytes: &Bytes| {
                let (header, _) = Header::parse(bytes).ok()?;
                Some(rules.copied_until(&header, now)?.into())
            };
            let moved = within(rules, moving.carry(&listed.key, kept_until));
            Ok(match moved.await? {
                true => Copied::Now,
                false if expired => Copied::Expired,
                false => Copied::Before,
            })
        });
        Ok(CopiedPage::of(moves, page.next).await)
    }
}

impl AllSessions {
    /// A page of about `limit` sessions, from `cursor`, or from the start. In no particular order.
    ///
    /// A session that was created before the first page was requested, and does not end before the
    /// last one was returned, is on at least one of the pages, or on several if it is renewed meanwhile,
    /// or was shortly before.
    ///
    /// # Errors
    ///
    /// If the store fails, or if the cursor is none of these pages.
    pub async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<SessionsPage> {
        let rules = &self.shared.rules;
        let now = self.shared.now();
        let WalkPlace { began, inner } = WalkPlace::of(cursor, now)?;
        let page = self
            .scan
            .records(&rules.settings.prefix, inner.as_ref(), limit);
        let page = within(rules, page).await?;
        let next = page.next.map(|inner| WalkPlace {
            began,
            inner: Some(inner),
        });
        let mut sessions = SessionsPage {
            sessions: Vec::new(),
            expired: 0,
            tombstones: 0,
            unreadable: Vec::new(),
            next: next.map(|it| it.cursor()),
        };
        let mut renewed = Vec::new();
        for Listed { key, head } in page.records {
            match Header::parse(unmarked(&head)) {
                Err(error) => sessions.unreadable.push(error),
                Ok((header, _)) if header.kind != Kind::Live => {
                    sessions.tombstones += 1;
                    renewed.extend(successor_since(&header, began));
                }
                Ok((header, _)) if header.expires_at <= now => sessions.expired += 1,
                Ok((header, _)) => sessions.sessions.push(stored(key, &header, &head)),
            }
        }
        // The record of a session that was renewed since the first page may be on a page that was read
        // before.
        let follows = renewed.into_iter().map(|key| self.renewed_to(key, now));
        let mut follows = stream::iter(follows).buffer_unordered(AT_ONCE);
        while let Some(followed) = follows.next().await {
            let is_here =
                |it: &StoredSession| sessions.sessions.iter().any(|other| other.key == it.key);
            let followed = followed?.filter(|it| !is_here(it));
            sessions.sessions.extend(followed);
        }
        Ok(sessions)
    }

    /// The live session under `key`, or under that to which it was renewed. `None` also if it cannot
    /// be read: its own page says so.
    async fn renewed_to(&self, mut key: StoreKey, now: Millis) -> Result<Option<StoredSession>> {
        let rules = &self.shared.rules;
        loop {
            let Some(loaded) = within(rules, self.shared.store.load(&key)).await? else {
                return Ok(None);
            };
            let Ok((header, _)) = Header::parse(unmarked(&loaded.bytes)) else {
                return Ok(None);
            };
            match (header.kind, header.successor) {
                (Kind::Live, _) if header.expires_at > now => {
                    return Ok(Some(stored(key, &header, &loaded.bytes)));
                }
                (Kind::Forwarded, Some(successor)) => key = StoreKey::from_stored(successor),
                _ => return Ok(None),
            }
        }
    }

    /// Ends the session, or its successor if it was renewed since. Returns whether this call ended
    /// it: not if it had ended, or if somebody else has logged in to it since it was listed.
    ///
    /// A renewal that failed may have left a copy of a session, a record with the same lineage. Each
    /// is on a page, and is ended by itself.
    ///
    /// # Errors
    ///
    /// If the store fails, or if the session is on its way to another store: then open both, as
    /// [`Moving::announced`].
    pub async fn end(&self, session: &StoredSession) -> Result<bool> {
        if session.moves {
            return Err(Error::corrupt(MOVES));
        }
        let key = session.key.clone();
        let left = self.shared.rules.settings.store_timeout;
        let condition = EndCondition {
            seen: Some((session.lineage.to_bytes(), session.owner.clone())),
            ..EndCondition::default()
        };
        end_record(&self.shared, key, condition, left).await
    }

    /// The data of the session, or `None` if it has ended or was renewed.
    ///
    /// # Errors
    ///
    /// If the store fails, or if the data cannot be read.
    pub async fn values(&self, session: &StoredSession) -> Result<Option<Payload>> {
        let rules = &self.shared.rules;
        let loaded = within(rules, self.shared.store.load(&session.key)).await?;
        match rules.read(&session.key, Form::Native, loaded) {
            LoadedRecord::Live(live) => Ok(Some(live.content.payload.clone())),
            LoadedRecord::Unreadable(error) => Err(error),
            _ => Ok(None),
        }
    }

    /// Those of `sessions`, each of the user `owner`, that are live and that the list of that user's
    /// sessions lacks. No log-out everywhere ends them.
    ///
    /// # Errors
    ///
    /// If the store fails, or if the sessions were built
    /// [`without_owner_lists`](crate::SessionsBuilder::without_owner_lists).
    pub async fn unlisted<'s>(
        &self,
        owner: &str,
        sessions: &[&'s StoredSession],
    ) -> Result<Vec<&'s StoredSession>> {
        let (rules, store) = (&self.shared.rules, &self.shared.store);
        let index = self.shared.owners.as_ref().ok_or(Error::NoOwnerIndex)?;
        let name = rules.settings.prefix.owner_key(owner);
        let (mut unlisted, mut cursor) = (sessions.to_vec(), None);
        while !unlisted.is_empty() {
            let page = within(rules, index.owned_by(&name, cursor.as_ref(), LISTED)).await?;
            let listed: HashSet<_> = page.records.iter().map(|it| &it.key).collect();
            unlisted.retain(|it| !listed.contains(&it.key));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut live = Vec::new();
        for session in unlisted {
            // It may have ended since it was read.
            let loaded = within(rules, store.load(&session.key)).await?;
            let header = loaded.as_ref().map(|it| Header::parse(&it.bytes));
            if let Some(Ok((header, _))) = header
                && header.kind == Kind::Live
                && header.owner == Some(owner)
                && header.expires_at > self.shared.now()
            {
                live.push(session);
            }
        }
        Ok(live)
    }

    /// Copies a page of the records to the store of `to`, from `cursor` or from the start: under its
    /// prefix, and encrypted as its settings say. If `is_rehearsal`, only reads.
    ///
    /// A session that is there already gets the later of both records: it ends there if it has ended
    /// here, and stays as it is if it was used there since.
    ///
    /// For a store that no application writes to, and for another one that has none of these sessions
    /// from an earlier copy: those that ended here more than ten minutes ago have no record any more
    /// that would end them there. [`Moving`] moves sessions beside applications.
    ///
    /// # Errors
    ///
    /// If the store fails. Records that cannot be copied are on the page.
    pub async fn copy(
        &self,
        to: &Sessions,
        cursor: Option<&Cursor>,
        limit: usize,
        is_rehearsal: bool,
    ) -> Result<CopiedPage> {
        let rules = &self.shared.rules;
        let page = self.scan.records(&rules.settings.prefix, cursor, limit);
        let page = within(rules, page).await?;
        let records = page.records.into_iter();
        let copies =
            records.map(|listed| within(rules, self.copy_record(to, listed, is_rehearsal)));
        Ok(CopiedPage::of(copies, page.next).await)
    }

    async fn copy_record(
        &self,
        to: &Sessions,
        listed: Listed,
        is_rehearsal: bool,
    ) -> Result<Copied> {
        let Some(loaded) = self.shared.store.load(&listed.key).await? else {
            return Ok(Copied::Expired);
        };
        if is_marked(&loaded.bytes) {
            return Err(Error::corrupt(MOVES));
        }
        let (from, now) = (&self.shared.rules, self.shared.now());
        let Some((key, record)) = from.copy(&to.0.rules, &listed.key, &loaded.bytes, now)? else {
            return Ok(Copied::Expired);
        };
        let there = &to.0.store;
        if !is_rehearsal && there.insert(&key, &record).await?.is_stored() {
            return Ok(Copied::Now);
        }
        let Some(found) = there.load(&key).await? else {
            return if is_rehearsal {
                Ok(Copied::Now)
            } else {
                Err(Error::Conflict)
            };
        };
        let (ours, _) = Header::parse(&record.bytes)?;
        let (theirs, _) = Header::parse(&found.bytes)?;
        if !replaces(&ours, &theirs) {
            return Ok(Copied::Before);
        }
        if is_rehearsal {
            return Ok(Copied::Now);
        }
        match there.update(&key, &record, &found.revision).await? {
            Write::Stored(_) => Ok(Copied::Now),
            Write::Refused => Err(Error::Conflict),
        }
    }
}

/// Where a page of sessions begins.
struct WalkPlace {
    /// When the first page was requested.
    began: Millis,
    /// The store's own position; `None` for the first page.
    inner: Option<Cursor>,
}

impl WalkPlace {
    fn of(cursor: Option<&Cursor>, now: Millis) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self {
                began: now,
                inner: None,
            });
        };
        let (began, inner) = cursor
            .as_bytes()
            .split_first_chunk()
            .ok_or_else(|| Error::corrupt("the cursor is not one of a page of sessions"))?;
        Ok(Self {
            began: Millis::new(u64::from_be_bytes(*began)),
            inner: Some(Cursor::new(Bytes::copy_from_slice(inner))),
        })
    }

    fn cursor(&self) -> Cursor {
        let inner = self.inner.as_ref().map_or(&[][..], Cursor::as_bytes);
        Cursor::new([&self.began.get().to_be_bytes(), inner].concat())
    }
}

/// The key to which a session was renewed at `began` or later. Clocks may differ by as long as its
/// tombstone counts for requests.
fn successor_since(header: &Header<'_>, began: Millis) -> Option<StoreKey> {
    // It counts from the renewal on.
    let is_late = header.expires_at >= began;
    header
        .successor
        .filter(|_| is_late)
        .map(StoreKey::from_stored)
}

/// The session that the header of the record `head` under `key` describes.
fn stored(key: StoreKey, header: &Header<'_>, head: &[u8]) -> StoredSession {
    StoredSession {
        key,
        lineage: Lineage::from_bytes(header.lineage),
        owner: header.owner.map(Into::into),
        label: header.label.map(Into::into),
        created_at: header.created_at.into(),
        authenticated_at: header.authenticated_at.map(Into::into),
        used_at: header.used_at.into(),
        expires_at: header.expires_at.into(),
        moves: is_marked(head),
    }
}

const MOVES: &str = "the session is on its way to another store";

/// Whether one record is later than another one of the same key and of the same session.
fn replaces(one: &Header<'_>, other: &Header<'_>) -> bool {
    if one.lineage != other.lineage {
        return false;
    }
    match (one.kind, other.kind) {
        (Kind::Ended, Kind::Live) => true,
        // Unless it was used since the renewal.
        (Kind::Forwarded, Kind::Live) => one.expires_at >= other.used_at.after(TOMBSTONE_LIFE),
        (one_kind, other_kind) => {
            one_kind == other_kind
                && (one.used_at, one.expires_at) > (other.used_at, other.expires_at)
        }
    }
}

/// The answer to `call`, or an error if it takes as long as all work on a user's sessions may take.
async fn within<T>(rules: &Rules, call: impl Future<Output = Result<T>>) -> Result<T> {
    let budget = rules.settings.store_timeout.saturating_mul(PATIENCE);
    let answer = tokio::time::timeout(budget, call).await;
    answer.unwrap_or(Err(Error::Timeout { budget }))
}

impl Rules {
    /// Until when a store has to keep a copy of the record with this header. `None` if its time has
    /// passed, as it says: the timeouts of these settings may not be those of the application.
    fn copied_until(&self, header: &Header<'_>, now: Millis) -> Option<Millis> {
        let end = match header.kind {
            Kind::Live => Some(header.expires_at).filter(|end| *end > now)?,
            // Requests with a rotated id come as long as there is the session.
            Kind::Forwarded if header.nonce.is_some() => {
                let (content, _) = of_header(header, Payload::default());
                let idle = now.after(self.timeouts(&content).idle);
                let end = self.deadline(&content).unwrap_or(idle);
                end.max(header.expires_at)
            }
            Kind::Forwarded | Kind::Ended | Kind::Logins => header.expires_at,
        };
        let until = end.after(Record::KEPT_AFTER_END);
        (until > now).then_some(until)
    }

    /// The copy of the record under `key` for the rules `to`. `None` if its time has passed.
    fn copy(
        &self,
        to: &Self,
        key: &StoreKey,
        bytes: &Bytes,
        now: Millis,
    ) -> Result<Option<(StoreKey, Record)>> {
        let (header, _) = Header::parse(bytes)?;
        let Some(until) = self.copied_until(&header, now) else {
            return Ok(None);
        };
        let moved = |key: &str| {
            let rest = key.strip_prefix(self.settings.prefix.as_str());
            let rest = rest.ok_or_else(|| Error::corrupt("the record names a key of others"))?;
            let key = format!("{}{rest}", to.settings.prefix.as_str());
            Ok(StoreKey::from_stored(key))
        };
        let new_key = moved(key.as_str())?;
        let keys = (&self.settings.encryption, &to.settings.encryption);
        let (copy, listed_until) = match header.kind {
            Kind::Live => {
                let same_key = new_key == *key || !header.is_encrypted;
                let copy = if keys.0.is_none() && keys.1.is_none() && same_key {
                    bytes.clone()
                } else {
                    self.encoded_anew(to, key, &new_key, bytes)?
                };
                (copy, header.indexed_until)
            }
            Kind::Forwarded => {
                let successor = moved(header.successor.unwrap_or_default())?;
                let until = header.expires_at;
                let successor = Some(successor.as_str());
                let header = Header {
                    successor,
                    ..header.clone()
                };
                (header.write(0).into(), Some(until))
            }
            Kind::Ended | Kind::Logins => (bytes.clone(), None),
        };
        let limit = to.store_limit();
        if copy.len() > limit {
            let size = copy.len();
            return Err(Error::TooLarge { size, limit });
        }
        let prefix = &to.settings.prefix;
        let entry = header
            .owner
            .zip(listed_until)
            .map(|(owner, until)| IndexEntry {
                owner: prefix.owner_key(owner),
                provider_session: header.provider_session.map(|it| prefix.key_of_sid(&it)),
                expires_at: until.into(),
            });
        let record = Record {
            bytes: copy,
            expires_at: until.into(),
            entry,
        };
        Ok(Some((new_key, record)))
    }

    /// A live record under another key, encrypted as `to` says.
    fn encoded_anew(
        &self,
        to: &Self,
        key: &StoreKey,
        new_key: &StoreKey,
        bytes: &Bytes,
    ) -> Result<Bytes> {
        let keys = self.settings.encryption.as_ref();
        let codec::Stored::Live(content, times, encoded) = codec::decode(key, bytes, keys)? else {
            return Err(Error::corrupt("the record is not that of a live session"));
        };
        let tag = getrandom::u64().map_err(|error| Error::backend("copy", error))?;
        let (tag, keys) = (tag.to_be_bytes(), to.settings.encryption.as_ref());
        Ok(codec::live(new_key, &content, &times, tag, Some(&encoded), keys)?.0)
    }
}

impl fmt::Debug for AllSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllSessions")
            .field("store", &self.scan)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
