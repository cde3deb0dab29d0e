use md5::{Digest, Md5};
use session_core::{Bytes, Record, Revision, StoreKey, Write};

use super::spelling::pythons;
use crate::{
    clock,
    fault::Fault,
    name::{Name, unhex},
};

/// What one file holds: the second at which it ends, in the byte order of the machine, then the payload.
pub(super) struct Entry {
    /// Milliseconds since 1970.
    pub(super) ends: u64,
    pub(super) payload: Bytes,
}

impl Entry {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            ends: clock::millis(record.expires_at),
            payload: pythons(&record.bytes).into(),
        }
    }

    /// The answer to a write that stored it.
    pub(super) fn stored(&self) -> Write {
        Write::Stored(Revision::new(self.payload.clone()))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [&second(self.ends).to_ne_bytes()[..], &self.payload].concat()
    }

    pub(super) fn decode(file: &Bytes) -> Result<Self, Fault> {
        Ok(Self {
            ends: expiry(file)?,
            payload: file.slice(4..),
        })
    }
}

/// When the file that begins with `start` ends, in milliseconds since 1970; never, which is 0 in the file, is the latest
/// instant that the format has.
pub(super) fn expiry(start: &[u8]) -> Result<u64, Fault> {
    let seconds = start.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    match seconds.ok_or(Fault::Foreign)? {
        0 => Ok(u64::from(u32::MAX) * 1000),
        seconds => Ok(u64::from(seconds) * 1000),
    }
}

/// The format's number for an end in milliseconds since 1970; 0 would be never.
fn second(millis: u64) -> u32 {
    u32::try_from(millis / 1000).unwrap_or(u32::MAX).max(1)
}

/// What the files are named by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names {
    Sha256,
    Md5,
}

impl Names {
    /// The names that the file of `key` may have, that of new files first.
    pub(super) fn of(self, key: &StoreKey) -> [String; 2] {
        let sha256 = Name::of(key.as_str()).to_string();
        let md5 = u128::from_be_bytes(Md5::digest(key.as_str()).into());
        let md5 = format!("{md5:032x}");
        match self {
            Self::Sha256 => [sha256, md5],
            Self::Md5 => [md5, sha256],
        }
    }
}

/// Whether `name` is one that a session's file may have.
pub(super) fn is_name(name: &[u8]) -> bool {
    unhex::<32>(name).is_some() || unhex::<16>(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_never_zero_and_never_too_late() {
        assert_eq!(second(0), 1);
        assert_eq!(second(1_999), 1);
        assert_eq!(second(4_294_967_295_999), u32::MAX);
        assert_eq!(second(u64::MAX), u32::MAX);
    }

    #[test]
    fn names_are_cachelibs() {
        let key = StoreKey::from_stored("__wz_cache_count");
        let [sha256, md5] = Names::Sha256.of(&key);
        assert!(sha256.starts_with("79bc207e"), "{sha256}");
        assert_eq!(md5, "2029240f6d1128be89ddc32729463129");
        assert!(is_name(sha256.as_bytes()) && is_name(md5.as_bytes()));
        assert!(!is_name(b"tmp1234.__wz_cache"));
    }
}
