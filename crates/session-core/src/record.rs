use std::{fmt, time::SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::key::OwnerKey;

/// What a store is given to keep: opaque bytes, until an instant.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The encoded session; a store never looks inside.
    pub payload: Vec<u8>,
    /// When the record ends; a store may round it down to its own granularity, never up.
    pub expires_at: SystemTime,
    /// Whose session it is, for stores that can list an owner's sessions.
    pub owner: Option<OwnerKey>,
}

/// What a store found.
#[derive(Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The bytes that were stored.
    pub payload: Vec<u8>,
    /// When the record ends.
    pub expires_at: SystemTime,
    /// What [`update`](crate::SessionStore::update) needs, to know that nobody changed the bytes in between.
    pub revision: Revision,
}

/// An opaque token of the loaded bytes, made and read by the store alone (HTTP's `ETag`).
///
/// A version number, a digest, a CAS token: two reads of the same record that nobody changed give equal revisions,
/// and a change gives another one.
#[derive(Clone, PartialEq, Eq)]
pub struct Revision(Bytes);

impl Revision {
    /// Wraps the store's own token.
    pub fn new(token: impl Into<Bytes>) -> Self {
        Self(token.into())
    }

    /// A digest of `payload`, for stores whose backend has no version number: "the bytes I loaded are still there".
    pub fn of(payload: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(&Sha256::digest(payload)))
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
    /// Whether the write was done.
    pub fn is_stored(&self) -> bool {
        matches!(self, Self::Stored(_))
    }
}

/// A store's answer to [`touch`](crate::SessionStore::touch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a refused touch moved nothing"]
pub enum Touch {
    /// The record ends at the instant given.
    Moved,
    /// There is no live record.
    Refused,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("expires_at", &self.expires_at)
            .field("owner", &self.owner)
            .finish()
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("expires_at", &self.expires_at)
            .field("revision", &self.revision)
            .finish()
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A store may use the stored bytes themselves as the token.
        write!(f, "Revision({} bytes)", self.0.len())
    }
}
