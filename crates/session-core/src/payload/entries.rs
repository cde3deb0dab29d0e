use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    ops::Range,
};

use bytes::Bytes;
use hashbrown::HashTable;

use super::{Format, Value};

/// So many keys are compared one by one; beyond them, a key is looked up by its hash.
const COMPARED: usize = 32;

/// What a value is filed under.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    /// A text, found to be UTF-8.
    Text(&'a [u8]),
    /// Anything else that Flask lets a session be indexed by, encoded.
    Other(&'a [u8]),
}

/// An entry with its bytes at hand.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: Key<'a>,
    pub(super) value: &'a [u8],
    pub(super) format: Format,
}

/// Bytes that stand in what was loaded, or on their own.
#[derive(Clone)]
pub(super) enum Part {
    Loaded(Range<usize>),
    Given(Bytes),
}

#[derive(Clone)]
struct Slot {
    key: Part,
    is_text: bool,
    value: Part,
    format: Format,
}

/// Entries as a Python dict has them: in the order in which their keys came, a key's last value in the place of its first.
#[derive(Clone, Default)]
pub(super) struct Entries {
    loaded: Bytes,
    /// With an index, what is removed leaves an empty slot behind, so that the others need not move each time.
    slots: Vec<Option<Slot>>,
    len: usize,
    /// A bit for each key that may be here: most that are not need no comparison.
    seen: u64,
    index: Option<Index>,
}

/// The places of all keys by their hashes.
#[derive(Clone, Default)]
struct Index {
    places: HashTable<usize>,
    hasher: RandomState,
}

impl Entries {
    /// No entries yet, of those that stand in `loaded`.
    ///
    /// Room is made for few of the `expected` at once: their number is only what the bytes say.
    pub(super) fn of(loaded: Bytes, expected: usize) -> Self {
        Self {
            loaded,
            slots: Vec::with_capacity(expected.min(COMPARED)),
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> + Clone {
        let slots = self.slots.iter().flatten();
        slots.map(|slot| Entry {
            key: slot.key(&self.loaded),
            value: slot.value.of(&self.loaded),
            format: slot.format,
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<Value> {
        let slot = self.slots[self.place(key.into())?].as_ref();
        slot.map(|slot| slot.value(&self.loaded))
    }

    pub(super) fn insert(&mut self, key: &str, value: Value) {
        let own = || Part::Given(Bytes::copy_from_slice(key.as_bytes()));
        self.file(Key::from(key), own, Part::Given(value.bytes), value.format);
    }

    /// Files `value` under `key`, whose bytes `own` gives if they are not here yet.
    pub(super) fn file(
        &mut self,
        key: Key<'_>,
        own: impl FnOnce() -> Part,
        value: Part,
        format: Format,
    ) {
        if let Some(place) = self.place(key) {
            if let Some(slot) = &mut self.slots[place] {
                (slot.value, slot.format) = (value, format);
            }
            return;
        }
        self.seen |= key.mark();
        self.len += 1;
        self.slots.push(Some(Slot {
            key: own(),
            is_text: matches!(key, Key::Text(_)),
            value,
            format,
        }));
        if self.index.is_some() {
            self.index_from(self.slots.len() - 1);
        } else if self.slots.len() > COMPARED {
            self.reindex();
        }
    }

    /// Takes the entry out that is at `place`.
    pub(super) fn remove(&mut self, place: usize) -> Option<Value> {
        let slot = if let Some(Index { places, hasher }) = &mut self.index {
            let slot = self.slots[place].take()?;
            let hash = hasher.hash_one(slot.key(&self.loaded));
            let indexed = places.find_entry(hash, |it| *it == place);
            indexed.expect("every key is indexed").remove();
            slot
        } else {
            self.slots.remove(place)?
        };
        self.len -= 1;
        // Every walk passes the empty slots; while they are fewer than the others, that costs little.
        if self.slots.len() > 2 * self.len {
            self.reindex();
        }
        Some(slot.value(&self.loaded))
    }

    /// Where the entry of `key` is, until one is removed.
    pub(super) fn place(&self, key: Key<'_>) -> Option<usize> {
        let is_key = |slot: &Option<Slot>| {
            let slot = slot.as_ref();
            slot.is_some_and(|slot| slot.key(&self.loaded) == key)
        };
        if let Some(Index { places, hasher }) = &self.index {
            let place = places.find(hasher.hash_one(key), |place| is_key(&self.slots[*place]));
            place.copied()
        } else if self.seen & key.mark() != 0 {
            self.slots.iter().position(is_key)
        } else {
            None
        }
    }

    /// Drops the empty slots, and the index if few are left; otherwise makes it anew.
    fn reindex(&mut self) {
        self.slots.retain(Option::is_some);
        self.index = None;
        if self.slots.len() > COMPARED {
            self.index = Some(Index::default());
            self.index_from(0);
        }
    }

    /// Adds the slots from `first` on, none of them empty, to the index.
    fn index_from(&mut self, first: usize) {
        let Some(Index { places, hasher }) = &mut self.index else {
            return;
        };
        let hash = |place: &usize| {
            let slot = self.slots[*place].as_ref();
            slot.map_or(0, |slot| hasher.hash_one(slot.key(&self.loaded)))
        };
        for place in first..self.slots.len() {
            places.insert_unique(hash(&place), place, hash);
        }
    }
}

impl Slot {
    fn key<'a>(&'a self, loaded: &'a [u8]) -> Key<'a> {
        let bytes = self.key.of(loaded);
        if self.is_text {
            Key::Text(bytes)
        } else {
            Key::Other(bytes)
        }
    }

    fn value(&self, loaded: &Bytes) -> Value {
        let bytes = match &self.value {
            Part::Loaded(range) => loaded.slice(range.clone()),
            Part::Given(bytes) => bytes.clone(),
        };
        Value {
            bytes,
            format: self.format,
        }
    }
}

impl Part {
    fn of<'a>(&'a self, loaded: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Loaded(range) => &loaded[range.clone()],
            Self::Given(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.as_bytes())
    }
}

impl<'a> Key<'a> {
    pub(super) fn as_bytes(self) -> &'a [u8] {
        let (Self::Text(bytes) | Self::Other(bytes)) = self;
        bytes
    }

    pub(super) fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => {
                Some(std::str::from_utf8(text).expect("a text is checked when it becomes a key"))
            }
            Self::Other(_) => None,
        }
    }

    /// One bit, not the same for most keys that differ.
    fn mark(self) -> u64 {
        let bytes = self.as_bytes();
        let first = bytes.first().copied().unwrap_or_default();
        let last = bytes.last().copied().unwrap_or_default();
        1 << ((bytes.len() + usize::from(first) * 7 + usize::from(last) * 31) % 64)
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_text() {
            Some(key) => write!(f, "the value of {key:?}"),
            None => f.write_str("an entry whose key is not text"),
        }
    }
}
