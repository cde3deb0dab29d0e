//! What a file holds: a header, then the payload.
//!
//! | bytes | |
//! |---|---|
//! | 0..8 | magic |
//! | 8 | version of the layout |
//! | 9 | kind: a record, or an entry of the owner index |
//! | 10..12 | zero |
//! | 12..16 | length of the payload |
//! | 16..24 | when it ends: milliseconds since 1970 |
//! | 24..32 | revision |
//! | 32..64 | digest of the owner's key, zero for none |
//! | 64..72 | first eight bytes of SHA-256 over the file's own name, bytes 0..64 and the payload |
//!
//! Numbers are little-endian. As the name is part of the checksum, a file copied over another one is damaged, not
//! somebody else's session. Bytes after the payload are ignored, so that a shorter record can be written over a longer
//! one before the rest is cut off.

use sha2::{Digest, Sha256};

use crate::{name::Name, unreadable::Unreadable};

/// The length of a header in bytes.
pub(crate) const HEADER: usize = 72;

/// What every file of this store begins with.
pub(crate) const MAGIC: [u8; 8] = *b"\x89session";

const VERSION: u8 = 1;
const SUMMED: usize = 64;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Record = b'r',
    OwnerEntry = b'o',
}

/// What one file holds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Milliseconds since 1970.
    pub(crate) expires: u64,
    pub(crate) revision: u64,
    pub(crate) owner: Option<Name>,
    pub(crate) payload: Vec<u8>,
}

impl Stored {
    /// The bytes of the file called `name`.
    pub(crate) fn encode(&self, kind: Kind, name: &Name) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("payloads are limited to 64 MiB");
        let mut bytes = Vec::with_capacity(HEADER + self.payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, kind as u8, 0, 0]);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.expires.to_le_bytes());
        bytes.extend_from_slice(&self.revision.to_le_bytes());
        bytes.extend_from_slice(
            self.owner
                .as_ref()
                .map_or(&[0; 32][..], |owner| owner.digest()),
        );
        let sum = checksum(name, &bytes, &self.payload);
        bytes.extend_from_slice(&sum);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// What the file called `name` holds.
    pub(crate) fn decode(kind: Kind, name: &Name, mut bytes: Vec<u8>) -> Result<Self, Unreadable> {
        let expires = expiry(kind, &bytes)?;
        let (header, rest) = bytes.split_at(HEADER);
        let length = u32::from_le_bytes(array(header, 12));
        let payload = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length))
            .ok_or(Unreadable::Damaged)?;
        if checksum(name, &header[..SUMMED], payload) != header[SUMMED..] {
            return Err(Unreadable::Damaged);
        }
        let revision = u64::from_le_bytes(array(header, 24));
        let owner = Name::from_header(array(header, 32));
        let end = HEADER + payload.len();
        bytes.truncate(end);
        bytes.drain(..HEADER);
        Ok(Self {
            expires,
            revision,
            owner,
            payload: bytes,
        })
    }

    /// Whether it can still be used at `now`, in milliseconds since 1970.
    pub(crate) fn is_live(&self, now: u64) -> bool {
        now < self.expires
    }
}

/// When the file that begins with `header` ends; its checksum is not looked at.
pub(crate) fn expiry(kind: Kind, header: &[u8]) -> Result<u64, Unreadable> {
    if !header.starts_with(&MAGIC) {
        return Err(Unreadable::Foreign);
    }
    match header.get(8..12) {
        Some(&[VERSION, found, 0, 0]) if found == kind as u8 => {}
        Some(&[version, ..]) if version > VERSION => return Err(Unreadable::Later),
        _ => return Err(Unreadable::Damaged),
    }
    if header.len() < HEADER {
        return Err(Unreadable::Damaged);
    }
    Ok(u64::from_le_bytes(array(header, 16)))
}

fn checksum(name: &Name, header: &[u8], payload: &[u8]) -> [u8; 8] {
    let sum = Sha256::new()
        .chain_update(name.digest())
        .chain_update(header)
        .chain_update(payload)
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

    fn stored() -> Stored {
        Stored {
            expires: 4_102_444_800_123,
            revision: 7,
            owner: Some(Name::of("owner")),
            payload: (0..=255).collect(),
        }
    }

    #[test]
    fn a_file_reads_back_whole_or_not_at_all() {
        let name = Name::of("key");
        let bytes = stored().encode(Kind::Record, &name);
        assert!(Stored::decode(Kind::Record, &name, bytes.clone()) == Ok(stored()));

        for length in 0..bytes.len() {
            let cut = bytes[..length].to_vec();
            assert!(
                Stored::decode(Kind::Record, &name, cut).is_err(),
                "{length} bytes"
            );
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Stored::decode(Kind::Record, &name, flipped).is_err(),
                "bit {bit}"
            );
        }
        let longer = [&bytes[..], b"what a longer record left"].concat();
        assert!(Stored::decode(Kind::Record, &name, longer) == Ok(stored()));
    }

    #[test]
    fn a_file_is_bound_to_its_name_and_kind() {
        let bytes = stored().encode(Kind::Record, &Name::of("alice"));
        let moved = Stored::decode(Kind::Record, &Name::of("bob"), bytes.clone());
        assert!(moved == Err(Unreadable::Damaged));
        let entry = Stored::decode(Kind::OwnerEntry, &Name::of("alice"), bytes);
        assert!(entry == Err(Unreadable::Damaged));
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let name = Name::of("key");
        let mut bytes = stored().encode(Kind::Record, &name);
        bytes[8] = VERSION + 1;
        assert!(Stored::decode(Kind::Record, &name, bytes) == Err(Unreadable::Later));
    }

    /// The layout is kept for ever: what an earlier release wrote must be read.
    #[test]
    fn the_first_layout_is_still_read() {
        let name = Name::of("session:golden");
        let golden = Stored {
            expires: 4_102_444_800_000,
            revision: 1,
            owner: None,
            payload: b"\x81\xa1a\x01".to_vec(),
        };
        let bytes = golden.encode(Kind::Record, &name);
        assert!(Stored::decode(Kind::Record, &name, bytes.clone()) == Ok(golden));
        assert_eq!(bytes, include_bytes!("golden.record"));
    }
}
