use std::{
    collections::{HashMap, hash_map},
    ops::Range,
};

use bytes::Bytes;

use super::{
    Format, MAX_KEYS,
    entries::{Entries, Entry, Filed},
    key::{Key, KeyRef},
    malformed::Malformed,
};

/// So many keys are compared one by one; beyond them, a key is looked up by its hash.
const COMPARED: usize = 32;

/// Collects a payload's entries as a Python dict does: of a key's values the last one counts, at the place of the first.
pub(super) struct Gather<'a> {
    loaded: &'a Bytes,
    format: Format,
    list: Vec<Entry>,
    /// A bit for each key that may be in the list: most are told apart without being compared.
    seen: u64,
    places: HashMap<(bool, Box<[u8]>), usize>,
}

impl<'a> Gather<'a> {
    /// Room is made for few of the `expected` entries at once: their number is only what the bytes say.
    pub(super) fn new(loaded: &'a Bytes, format: Format, expected: usize) -> Self {
        Self {
            loaded,
            format,
            list: Vec::with_capacity(expected.min(COMPARED)),
            seen: 0,
            places: HashMap::new(),
        }
    }

    /// Files the value that stands at `range` of the loaded bytes.
    pub(super) fn push(&mut self, key: Key, range: Range<usize>) -> Result<(), Malformed> {
        let value = Filed::Loaded(range);
        if let Some(place) = self.place(&key) {
            self.list[place].value = value;
            return Ok(());
        }
        if self.list.len() == MAX_KEYS {
            return Err(Malformed::TooManyKeys);
        }
        self.list.push(Entry { key, value });
        Ok(())
    }

    pub(super) fn finish(self) -> Entries {
        Entries::new(self.loaded.clone(), self.format, self.list)
    }

    /// The place of `key`; if it has none, it is assumed to be filed at the end.
    fn place(&mut self, key: &Key) -> Option<usize> {
        let key = key.of(self.loaded);
        let bit = 1 << (mark(key.as_bytes()) % 64);
        let front = &self.list[..self.list.len().min(COMPARED)];
        let place = (self.seen & bit != 0)
            .then(|| front.iter().position(|it| it.key.of(self.loaded) == key))
            .flatten();
        self.seen |= bit;
        if place.is_some() || self.list.len() < COMPARED {
            return place;
        }
        let is_text = matches!(key, KeyRef::Text(_));
        match self.places.entry((is_text, key.as_bytes().into())) {
            hash_map::Entry::Occupied(place) => Some(*place.get()),
            hash_map::Entry::Vacant(place) => {
                place.insert(self.list.len());
                None
            }
        }
    }
}

/// A small number that differs for most keys that do.
fn mark(key: &[u8]) -> usize {
    let first = key.first().copied().unwrap_or_default();
    let last = key.last().copied().unwrap_or_default();
    key.len() + usize::from(first) * 7 + usize::from(last) * 31
}
