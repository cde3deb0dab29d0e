//! The layout of cachelib's files: their content and their names.

use std::time::Duration;

use md5::{Digest, Md5};
use session_core::{Bytes, Record, Revision, StoreKey, Write};

use super::python_json::to_python_json;
use crate::{
    error::CallError,
    name::{Name, unhex},
    unix_time,
};

/// The end of the names that are not sessions to cachelib.
pub(super) const SUFFIX: &str = ".__wz_cache";

/// The content of one file: the second at which it expires, in the machine's byte order, then the
/// payload.
pub(super) struct CacheFile {
    /// Milliseconds since 1970.
    pub(super) expiry: u64,
    pub(super) payload: Bytes,
}

impl CacheFile {
    pub(super) fn of(record: &Record) -> Self {
        // Rounded down, so that Flask does not find it for longer than this application.
        let expiry = record.expires_at.checked_sub(Duration::from_nanos(999_999));
        Self {
            expiry: expiry.map_or(0, unix_time::to_millis),
            payload: to_python_json(&record.bytes).into(),
        }
    }

    /// Whether it is of a session that has ended: it holds `MessagePack`'s nil.
    pub(super) fn has_ended(&self) -> bool {
        self.payload == [0xc0][..]
    }

    /// The result of a write that stored this file.
    pub(super) fn stored(&self) -> Write {
        Write::Stored(Revision::new(self.payload.clone()))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [&to_seconds(self.expiry).to_ne_bytes()[..], &self.payload].concat()
    }

    pub(super) fn decode(file: &Bytes) -> Result<Self, CallError> {
        Ok(Self {
            expiry: expiry(file)?,
            payload: file.slice(4..),
        })
    }
}

/// Decodes when the file that starts with `start` expires, in milliseconds since 1970. 0 in a file
/// means never, which is returned as the latest instant of the format. An empty file is damaged: a
/// power loss leaves such files.
pub(super) fn expiry(start: &[u8]) -> Result<u64, CallError> {
    if start.is_empty() {
        return Err(CallError::Damaged);
    }
    let seconds = start.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    match seconds.ok_or(CallError::ForeignFile)? {
        0 => Ok(u64::from(u32::MAX) * 1000),
        seconds => Ok(u64::from(seconds) * 1000),
    }
}

/// Encodes an expiry in milliseconds since 1970 as the file's seconds. Never 0, which means never.
fn to_seconds(millis: u64) -> u32 {
    u32::try_from(millis / 1000).unwrap_or(u32::MAX).max(1)
}

/// How cachelib derives the names of files from keys.
#[derive(Clone, Copy, Debug)]
pub(super) enum Naming {
    Sha256,
    Md5,
}

impl Naming {
    /// The two possible names of the file of `key`. The first one is that of new files.
    pub(super) fn names_of(self, key: &StoreKey) -> [String; 2] {
        let sha256 = Name::of(key.as_str()).to_string();
        let md5 = u128::from_be_bytes(Md5::digest(key.as_str()).into());
        let md5 = format!("{md5:032x}");
        match self {
            Self::Sha256 => [sha256, md5],
            Self::Md5 => [md5, sha256],
        }
    }
}

/// Whether a session's file can have the name `name`.
pub(super) fn is_name(name: &[u8]) -> bool {
    unhex::<32>(name).is_some() || unhex::<16>(name).is_some()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn an_expiry_is_rounded_down_to_the_second() {
        for (millis, second) in [(1_000.0, 1), (1_000.1, 1), (1_999.5, 1), (2_000.0, 2)] {
            let record = Record {
                bytes: Bytes::from_static(b"{}"),
                expires_at: UNIX_EPOCH + Duration::from_secs_f64(millis / 1000.0),
                entry: None,
            };
            let file = CacheFile::of(&record).encode();
            assert_eq!(file[..4], u32::to_ne_bytes(second), "{millis}");
        }
    }

    #[test]
    fn an_expiry_is_never_zero_and_never_out_of_range() {
        assert_eq!(to_seconds(0), 1);
        assert_eq!(to_seconds(1_999), 1);
        assert_eq!(to_seconds(4_294_967_295_999), u32::MAX);
        assert_eq!(to_seconds(u64::MAX), u32::MAX);
    }

    #[test]
    fn names_are_those_of_cachelib() {
        let key = StoreKey::from_stored("__wz_cache_count");
        let [sha256, md5] = Naming::Sha256.names_of(&key);
        assert!(sha256.starts_with("79bc207e"), "{sha256}");
        assert_eq!(md5, "2029240f6d1128be89ddc32729463129");
        assert!(is_name(sha256.as_bytes()) && is_name(md5.as_bytes()));
        assert!(!is_name(b"tmp1234.__wz_cache"));
    }
}
