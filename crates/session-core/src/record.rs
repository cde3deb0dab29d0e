use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::key::{OwnerKey, StoreKey};

/// What a store is given to keep: opaque bytes under a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The encoded session; a store never looks inside.
    pub bytes: Bytes,
    /// From then on the store may remove the record, to reclaim its space; never before.
    ///
    /// For a native record this is at least ten minutes after the session's own end, which is in the bytes. For a
    /// record of Flask's it is the end itself.
    pub expires_at: SystemTime,
    /// What the index of an owner's sessions is to say of the record; `None` leaves the index as it is.
    pub entry: Option<IndexEntry>,
}

/// An entry of the index of an owner's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Whose session it is.
    pub owner: OwnerKey,
    /// How long the index must name the record: never before the session ends. From then on the entry is to leave the
    /// list, also where the record stays; see [`owned_by`](crate::OwnerIndex::owned_by).
    pub expires_at: SystemTime,
}

/// What a store found.
#[derive(Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The bytes that were stored.
    pub bytes: Bytes,
    /// What [`update`](crate::SessionStore::update) needs, to know that nobody changed the bytes in between.
    pub revision: Revision,
    /// When the session ends, in layouts that keep this outside of the bytes, as Flask's do. `None` in all others.
    pub expires_at: Option<SystemTime>,
}

impl Loaded {
    /// Bytes that are their own revision: for stores that compare the whole record.
    pub fn compared_by_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            revision: Revision::new(bytes.clone()),
            bytes,
            expires_at: None,
        }
    }
}

/// One record of an owner, as a page of the index gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it is stored under.
    pub key: StoreKey,
    /// The first [`Record::HEAD`] bytes of the record, or all of them if it has fewer; more do no harm.
    pub head: Bytes,
}

/// A page of an owner's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records found; a record may be on more than one page, and one that is gone by now may be missing.
    pub records: Vec<Listed>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// Where a page of an owner's records begins: made and read by the store alone.
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
    /// The most bytes that the head of a record takes: all that a list of an owner's sessions needs to know of it.
    pub const HEAD: usize = 1024;

    /// How much longer than its session a native record is kept: clocks differ, and uploads take time.
    pub const KEPT_AFTER_END: Duration = Duration::from_mins(10);
}

/// An opaque token of the loaded bytes, made and read by the store alone (HTTP's `ETag`).
///
/// The bytes themselves, a version number, a CAS token: two reads of the same record that nobody changed give equal
/// revisions, and a change gives another one.
#[derive(Clone, PartialEq, Eq)]
pub struct Revision(Bytes);

impl Revision {
    /// Wraps the store's own token.
    pub fn new(token: impl Into<Bytes>) -> Self {
        Self(token.into())
    }

    /// The store's own token.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number that [`From<u64>`] wrapped, or `None` if this is another store's revision.
    pub fn as_u64(&self) -> Option<u64> {
        self.0[..].try_into().ok().map(u64::from_be_bytes)
    }
}

impl From<u64> for Revision {
    fn from(number: u64) -> Self {
        Self(Bytes::copy_from_slice(&number.to_be_bytes()))
    }
}

/// A store's answer to a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a refused write changed nothing"]
pub enum Write {
    /// Done; the revision is that of the record as it is now.
    Stored(Revision),
    /// The condition did not hold; nothing changed.
    Refused,
}

impl Write {
    /// Done, in a store that compares the whole record: the revision is the bytes of `record`.
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
        write!(f, "Revision({} bytes)", self.0.len())
    }
}
