//! The layout of a record's file.
//!
//! | bytes | |
//! |---|---|
//! | 0..8 | magic |
//! | 8 | version of the layout |
//! | 9 | length of the store key |
//! | 10..12 | zero |
//! | 12..16 | length of the record |
//! | 16..24 | expiry: from then on a sweep may remove the file; milliseconds since 1970 |
//! | 24..32 | time of the owner's index entry, in milliseconds since 1970; zero if there is none |
//! | 32..40 | first eight bytes of SHA-256 over the file's own name, bytes 0..32, the store key and the record |
//! | 40.. | the store key, which lists of an owner's records need, then the record |
//!
//! Numbers are little-endian. The checksum covers the name, so a file that is copied over another
//! one counts as damaged and never as another user's session. Readers ignore bytes after the
//! record, so a shorter record can overwrite a longer one before the file is truncated.

use session_core::{Bytes, Listed, Record, StoreKey};
use sha2::{Digest, Sha256};

use crate::{error::CallError, name::Name, unix_time};

/// The length of a header in bytes.
pub(crate) const HEADER: usize = 40;
/// The most bytes that a file holds before its record.
pub(crate) const OVERHEAD: usize = HEADER + u8::MAX as usize;
/// The largest size limit that a store can have: 64 MiB.
pub(crate) const LARGEST: usize = 64 << 20;

/// The first bytes of every file of this store.
pub(crate) const MAGIC: [u8; 8] = *b"\x89session";

const VERSION: u8 = 1;
/// Where the checksum is; the bytes before it are covered by it.
const CHECKSUM: usize = 32;

/// Encodes the file of record `new` under `key`. `entry` is the time of its index entry, in
/// milliseconds since 1970, or zero.
pub(crate) fn encode(key: &StoreKey, new: &Record, entry: u64) -> Vec<u8> {
    let (record, expires) = (&new.bytes, unix_time::to_millis(new.expires_at));
    let text = key.as_str().as_bytes();
    let key_length = u8::try_from(text.len()).expect("store keys have 250 bytes at the most");
    let length = u32::try_from(record.len()).expect("records are limited to 64 MiB");
    let mut file = Vec::with_capacity(HEADER + text.len() + record.len());
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&[VERSION, key_length, 0, 0]);
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&expires.to_le_bytes());
    file.extend_from_slice(&entry.to_le_bytes());
    file.extend_from_slice(&[0; HEADER - CHECKSUM]);
    file.extend_from_slice(text);
    file.extend_from_slice(record);
    let sum = checksum(&Name::of(key.as_str()), &file);
    file[CHECKSUM..HEADER].copy_from_slice(&sum);
    file
}

/// The content of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRecord {
    /// The time of the owner's index entry, in milliseconds since 1970. 0 if there is none.
    pub(crate) entry: u64,
    pub(crate) record: Bytes,
}

impl StoredRecord {
    /// Decodes the file called `name`.
    pub(crate) fn decode(name: &Name, file: &Bytes) -> Result<Self, CallError> {
        let (start, end) = bounds(file)?;
        let whole = file.get(..end).ok_or(CallError::Damaged)?;
        if checksum(name, whole) != file[CHECKSUM..HEADER] {
            return Err(CallError::Damaged);
        }
        Ok(Self {
            entry: u64::from_le_bytes(array(file, 24)),
            record: file.slice(start..end),
        })
    }
}

/// Decodes the store key and the head of the record. `file` holds the first bytes of the file
/// called `name`.
pub(crate) fn decode_head(name: &Name, file: &Bytes) -> Result<Listed, CallError> {
    let (start, end) = bounds(file)?;
    if end <= file.len() {
        StoredRecord::decode(name, file)?;
    }
    let head = start..end.min(start + Record::HEAD);
    if head.end > file.len() {
        return Err(CallError::Damaged);
    }
    let key = std::str::from_utf8(&file[HEADER..start])
        .ok()
        .filter(|key| Name::of(key) == *name)
        .ok_or(CallError::Damaged)?;
    Ok(Listed {
        key: StoreKey::from_stored(key),
        head: file.slice(head),
    })
}

/// Decodes from when on a sweep may remove the file that starts with `start`. Checks no checksum.
///
/// An empty file is damaged and not foreign, as is one that ends within the magic. A power loss
/// leaves such files, and they hold no data of anybody's.
pub(crate) fn expiry(start: &[u8]) -> Result<u64, CallError> {
    if !start.starts_with(&MAGIC) && !MAGIC.starts_with(start) {
        return Err(CallError::ForeignFile);
    }
    match start.get(8..12) {
        Some(&[VERSION, _, 0, 0]) if start.len() >= HEADER => {}
        Some(&[version, ..]) if version > VERSION => return Err(CallError::LaterVersion),
        _ => return Err(CallError::Damaged),
    }
    Ok(u64::from_le_bytes(array(start, 16)))
}

/// Where the record in `file` starts and ends.
fn bounds(file: &[u8]) -> Result<(usize, usize), CallError> {
    expiry(file)?;
    let start = HEADER + usize::from(file[9]);
    let length = u32::from_le_bytes(array(file, 12));
    Ok((start, start.saturating_add(length as usize)))
}

fn checksum(name: &Name, file: &[u8]) -> [u8; 8] {
    let sum = Sha256::new()
        .chain_update(name.0)
        .chain_update(&file[..CHECKSUM])
        .chain_update(&file[HEADER..])
        .finalize();
    array(&sum, 0)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("a slice of N bytes makes an array of N")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = b"what core encoded, whatever it is";

    fn record(bytes: &[u8]) -> Record {
        Record {
            bytes: bytes.to_vec().into(),
            expires_at: unix_time::from_millis(4_102_444_800_123),
            entry: None,
        }
    }

    fn file() -> (StoreKey, Name, Bytes) {
        let key = StoreKey::from_stored("session:golden");
        let file = encode(&key, &record(RECORD), 4_102_444_700_456);
        let name = Name::of(key.as_str());
        (key, name, file.into())
    }

    #[test]
    fn a_file_reads_back_whole_or_not_at_all() {
        let (key, name, file) = file();
        let stored = StoredRecord {
            entry: 4_102_444_700_456,
            record: RECORD.into(),
        };
        assert_eq!(expiry(&file).unwrap(), 4_102_444_800_123);
        assert_eq!(StoredRecord::decode(&name, &file).unwrap(), stored);
        let listed = decode_head(&name, &file).unwrap();
        assert!(listed.key == key && listed.head == RECORD);

        for length in 0..file.len() {
            let cut = file.slice(..length);
            assert!(StoredRecord::decode(&name, &cut).is_err(), "{length} bytes");
            assert!(decode_head(&name, &cut).is_err(), "{length} bytes");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = flipped.into();
            assert!(StoredRecord::decode(&name, &flipped).is_err(), "bit {bit}");
            assert!(decode_head(&name, &flipped).is_err(), "bit {bit}");
        }
        let longer = [&file[..], b"the rest of a longer record"].concat().into();
        assert_eq!(StoredRecord::decode(&name, &longer).unwrap(), stored);
        assert_eq!(decode_head(&name, &longer).unwrap().head, RECORD);
    }

    #[test]
    fn the_head_of_a_long_record_is_read_from_the_start_of_its_file() {
        let key = StoreKey::from_stored("k".repeat(250));
        let name = Name::of(key.as_str());
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(5000).collect();
        let file = Bytes::from(encode(&key, &record(&bytes), 0));
        let listed = decode_head(&name, &file.slice(..OVERHEAD + Record::HEAD)).unwrap();
        assert!(listed.key == key && listed.head == bytes[..Record::HEAD]);
        let another = decode_head(&Name::of("another"), &file.slice(..OVERHEAD + Record::HEAD));
        assert!(matches!(another, Err(CallError::Damaged)));
    }

    #[test]
    fn a_file_is_bound_to_its_name() {
        let (_, _, file) = file();
        let moved = StoredRecord::decode(&Name::of("bob"), &file);
        assert!(matches!(moved, Err(CallError::Damaged)));
    }

    #[test]
    fn a_later_version_is_not_reported_as_damage() {
        let (_, name, file) = file();
        let mut later = file.to_vec();
        later[8] = VERSION + 1;
        let later = later.into();
        assert!(matches!(
            StoredRecord::decode(&name, &later),
            Err(CallError::LaterVersion)
        ));
        assert!(matches!(
            decode_head(&name, &later),
            Err(CallError::LaterVersion)
        ));
    }

    /// Every release must read what earlier releases wrote.
    #[test]
    fn the_first_layout_is_still_read() {
        let (_, _, file) = file();
        assert_eq!(file, &include_bytes!("golden.record")[..]);
    }
}
