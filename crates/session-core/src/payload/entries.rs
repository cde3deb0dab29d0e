use std::collections::HashMap;

use bytes::Bytes;

use super::{MAX_KEYS, Value, malformed::Malformed, unwritable::Unwritable};
use crate::error::Error;

/// From this many keys on, a key is looked up by its hash while the map is read.
const HASH_FROM: usize = 32;

/// What a value is filed under.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A text, checked to be UTF-8.
    Text(Bytes),
    /// The encoded bytes of anything else that Flask lets a session be indexed by.
    Other(Bytes),
}

impl Key {
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => {
                Some(std::str::from_utf8(text).expect("a key is checked when it is made"))
            }
            Self::Other(_) => None,
        }
    }

    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Text(key) if key == text.as_bytes())
    }
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) value: Value,
}

impl Entry {
    /// About the number of bytes that the entry takes when it is encoded.
    pub(super) fn len(&self) -> usize {
        let (Key::Text(key) | Key::Other(key)) = &self.key;
        key.len() + self.value.as_bytes().len()
    }

    /// Names the key in the error, if it is a text.
    pub(super) fn unwritable(&self, fault: Unwritable) -> Error {
        let source = match self.key.as_text() {
            Some(key) => format!("the value of {key:?} cannot be written: {fault}"),
            None => format!("the entry of a key that is not text cannot be written: {fault}"),
        };
        Error::Encode {
            source: source.into(),
        }
    }
}

/// Collects entries as a Python dict does: of a key's values the last one wins, at the place of the first.
#[derive(Default)]
pub(super) struct Gather {
    entries: Vec<Entry>,
    places: HashMap<Key, usize>,
}

impl Gather {
    pub(super) fn with_capacity(len: usize) -> Self {
        Self {
            entries: Vec::with_capacity(len),
            places: HashMap::new(),
        }
    }

    pub(super) fn push(&mut self, key: Key, value: Value) -> Result<(), Malformed> {
        if let Some(place) = self.place(&key) {
            self.entries[place].value = value;
            return Ok(());
        }
        if self.entries.len() == MAX_KEYS {
            return Err(Malformed::TooManyKeys);
        }
        if self.entries.len() >= HASH_FROM {
            self.places.insert(key.clone(), self.entries.len());
        }
        self.entries.push(Entry { key, value });
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Entry> {
        self.entries
    }

    fn place(&self, key: &Key) -> Option<usize> {
        let front = self.entries.iter().take(HASH_FROM);
        front
            .enumerate()
            .find(|(_, entry)| entry.key == *key)
            .map(|(place, _)| place)
            .or_else(|| self.places.get(key).copied())
    }
}
