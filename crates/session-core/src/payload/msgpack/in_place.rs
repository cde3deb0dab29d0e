//! The entries of a small payload, where they were loaded.

use std::{borrow::Cow, iter};

use bytes::Bytes;

use super::{MALFORMED, Unread};
use crate::payload::{
    Format, Reason, Value,
    entries::{Entries, Entry, MAX_COMPARED, key_bit},
};

/// The entries of a small map, in the bytes that were loaded. To search them there costs less than
/// a list of them. Each key is text, and none comes twice.
#[derive(Clone, Default)]
pub(in crate::payload) struct InPlace {
    entries: Bytes,
    len: usize,
    /// As in [`Entries`].
    key_bits: u64,
}

/// Up to so many bytes are searched.
const MAX_BYTES: usize = 1024;

impl InPlace {
    /// Takes the `len` entries that `entries` consists of. `None` if they need a list.
    pub(super) fn of(entries: Bytes, len: usize) -> Result<Option<Self>, Reason> {
        if len > MAX_COMPARED || entries.len() > MAX_BYTES {
            return Ok(None);
        }
        let mut key_bits = 0;
        let mut rest = Unread(&entries);
        for position in 0..len {
            let Cow::Borrowed(key) = rest.key().ok_or(MALFORMED)? else {
                return Ok(None);
            };
            rest.skip().ok_or(MALFORMED)?;
            let mut before = pairs(&entries).take(position);
            if key_bits & key_bit(key) != 0 && before.any(|(other, ..)| other == key) {
                return Ok(None);
            }
            key_bits |= key_bit(key);
        }
        if !rest.0.is_empty() {
            return Err(MALFORMED);
        }
        Ok(Some(Self {
            entries,
            len,
            key_bits,
        }))
    }

    pub(in crate::payload) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::payload) fn iter(&self) -> impl Iterator<Item = Entry<'_>> + Clone {
        pairs(&self.entries)
    }

    pub(in crate::payload) fn value(&self, key: &[u8]) -> Option<Value> {
        if self.key_bits & key_bit(key) == 0 {
            return None;
        }
        let (_, value, format) = self.iter().find(|(other, ..)| *other == key)?;
        let bytes = self.entries.slice_ref(value);
        Some(Value { bytes, format })
    }

    /// A list of the entries, which can be changed.
    pub(in crate::payload) fn list(&self) -> Entries {
        let mut list = Entries::of(self.entries.clone(), self.len);
        for (key, value, format) in self.iter() {
            list.load(key, value, format);
        }
        list
    }
}

/// The entries that were found well formed before.
fn pairs(entries: &[u8]) -> impl Iterator<Item = Entry<'_>> + Clone {
    let mut rest = Unread(entries);
    iter::from_fn(move || {
        let Cow::Borrowed(key) = rest.key()? else {
            return None;
        };
        Some((key, rest.skip()?, Format::MessagePack))
    })
}
