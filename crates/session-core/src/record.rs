//! What core and a store exchange: records, revisions, and pages of an owner's index.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::{
    header,
    key::{OwnerKey, StoreKey},
};

/// A record to be stored: opaque bytes under a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The encoded session. A store does not interpret it.
    pub bytes: Bytes,
    /// From this time on the store may remove the record, to reclaim its space. Never before.
    ///
    /// For a native record this is at least ten minutes after the session's end, which is in the
    /// bytes. For Flask's records it is the session's end.
    pub expires_at: SystemTime,
    /// The record's entry in the index of its owner's sessions. `None` leaves the index unchanged.
    pub entry: Option<IndexEntry>,
}

/// An entry in the index of an owner's sessions. A record may be listed under a second name, too,
/// with the same promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The owner of the session.
    pub owner: OwnerKey,
    /// The session of the identity provider that the session belongs to, if there is one. Its key is
    /// never that of an owner. [`OwnerKey::is_provider_session`] tells them apart. A list may go on
    /// to name a record whose later entry does not have that name: `session-core` looks into the
    /// record.
    pub provider_session: Option<OwnerKey>,
    /// Until when the index must name the record, under each name. It is never before the session's
    /// end. After this time the entry must leave the list, even if the record stays; see
    /// [`owned_by`](crate::OwnerIndex::owned_by).
    pub expires_at: SystemTime,
}

impl IndexEntry {
    /// The keys of the lists that must name the record.
    pub fn names(&self) -> impl Iterator<Item = &OwnerKey> {
        std::iter::once(&self.owner).chain(&self.provider_session)
    }
}

/// A record that was loaded.
#[derive(Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The bytes that were stored.
    pub bytes: Bytes,
    /// The revision of the bytes. [`update`](crate::SessionStore::update) uses it to detect that
    /// another write changed them.
    pub revision: Revision,
    /// When the session ends, in layouts that keep this outside of the bytes, such as Flask's.
    /// `None` in all others.
    pub expires_at: Option<SystemTime>,
}

impl Loaded {
    /// A record whose bytes are its revision, for stores that compare the whole record.
    pub fn compared_by_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            revision: Revision::new(bytes.clone()),
            bytes,
            expires_at: None,
        }
    }
}

/// One record of an owner on a page of the index.
#[derive(Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key of the record.
    pub key: StoreKey,
    /// The first [`Record::HEAD`] bytes of the record, or all of them if it has fewer. More bytes
    /// are allowed.
    pub head: Bytes,
}

/// A page of an owner's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records. A record may be on more than one page; one that was removed meanwhile may be
    /// missing.
    pub records: Vec<Listed>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// The position where a page of an owner's records begins. Only the store creates and interprets
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Bytes);

impl Cursor {
    /// Wraps the store's own position.
    pub fn new(position: impl Into<Bytes>) -> Self {
        Self(position.into())
    }

    /// The store's own position.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Record {
    /// The largest size of a record's header in bytes. A list of an owner's sessions needs only
    /// these bytes.
    pub const HEAD: usize = 1024;

    /// How long a native record is kept after its session's end, because clocks differ and uploads
    /// take time.
    pub const KEPT_AFTER_END: Duration = Duration::from_mins(10);
}

/// An opaque token of the loaded bytes, like HTTP's `ETag`. Only the store creates and interprets
/// it.
///
/// It may be the bytes themselves, a version number or a CAS token. Two loads of an unchanged
/// record return equal revisions; after a change the revision is different.
#[derive(Clone)]
pub struct Revision(Token);

/// A number has no allocation.
#[derive(Clone)]
enum Token {
    Number([u8; 8]),
    Bytes(Bytes),
}

impl Revision {
    /// Wraps the store's own token.
    pub fn new(token: impl Into<Bytes>) -> Self {
        Self(Token::Bytes(token.into()))
    }

    /// The store's own token.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Token::Number(bytes) => bytes,
            Token::Bytes(bytes) => bytes,
        }
    }

    /// For a store whose revisions are the bytes themselves: the first bytes, if no other record
    /// begins with them. A store may compare these instead of all, which is less work for long
    /// records.
    ///
    /// These are the 16 bytes of a native record up to its write tag, which is random and different
    /// in each write. `None` for all other bytes.
    pub fn tagged_start(&self) -> Option<&[u8]> {
        header::tagged(self.as_bytes())
    }

    /// The number that [`From<u64>`] wrapped. `None` if this is another store's revision.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_bytes().try_into().ok().map(u64::from_be_bytes)
    }
}

impl PartialEq for Revision {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Revision {}

impl From<u64> for Revision {
    fn from(number: u64) -> Self {
        Self(Token::Number(number.to_be_bytes()))
    }
}

/// The result of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a refused write changed nothing"]
pub enum Write {
    /// The write was done. The revision is that of the new record.
    Stored(Revision),
    /// The condition did not hold. Nothing changed.
    Refused,
}

impl Write {
    /// The write was done, in a store that compares the whole record: the revision is the bytes of
    /// `record`.
    pub fn stored_bytes(record: &Record) -> Self {
        Self::Stored(Revision::new(record.bytes.clone()))
    }

    /// Whether the write was done.
    pub fn is_stored(&self) -> bool {
        matches!(self, Self::Stored(_))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("bytes", &self.bytes.len())
            .field("expires_at", &self.expires_at)
            .field("entry", &self.entry)
            .finish()
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("bytes", &self.bytes.len())
            .field("revision", &self.revision)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listed")
            .field("key", &self.key)
            .field("head", &self.head.len())
            .finish()
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A store may use the stored bytes themselves as the token.
        write!(f, "Revision({} bytes)", self.as_bytes().len())
    }
}
