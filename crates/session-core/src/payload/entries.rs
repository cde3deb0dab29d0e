use std::{
    hash::{BuildHasher, RandomState},
    ops::Range,
};

use bytes::Bytes;
use hashbrown::HashTable;

use super::{Format, Value};

/// So many keys are compared one by one; beyond them, a key is looked up by its hash.
const COMPARED: usize = 32;

/// What a value is filed under: a text, found to be UTF-8, or whatever else Flask lets a session be indexed by,
/// encoded.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) is_text: bool,
}

/// A key, its encoded value, and the format of that.
pub(super) type Entry<'a> = (Key<'a>, &'a [u8], Format);

/// Bytes that stand in what was loaded, or on their own.
#[derive(Clone)]
pub(super) enum Part {
    Loaded(Range<usize>),
    Given(Bytes),
}

/// A key, and its value if it was not removed.
#[derive(Clone)]
struct Slot {
    key: Part,
    is_text: bool,
    value: Option<Part>,
    format: Format,
}

/// Entries as a Python dict has them: in the order in which their keys came, a key's last value in the place of its
/// first.
#[derive(Clone, Default)]
pub(super) struct Entries {
    loaded: Bytes,
    /// What is removed stays as a slot without a value, so that the others need not move each time.
    slots: Vec<Slot>,
    len: usize,
    /// A bit for each key that may be here: most that are not need no comparison.
    seen: u64,
    /// The places of all slots by the hashes of their keys, once they are many.
    index: Option<(HashTable<usize>, RandomState)>,
}

impl Entries {
    /// Room for entries that stand in `loaded`, and for few of the `expected` at once: their number is only what the
    /// bytes say.
    pub(super) fn of(loaded: Bytes, expected: usize) -> Self {
        let slots = Vec::with_capacity(expected.min(COMPARED));
        Self {
            loaded,
            slots,
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> + Clone {
        self.slots.iter().filter_map(|slot| {
            let value = slot.value.as_ref()?.of(&self.loaded);
            Some((slot.key(&self.loaded), value, slot.format))
        })
    }

    pub(super) fn value(&self, place: usize) -> Option<Value> {
        let slot = &self.slots[place];
        let bytes = match slot.value.as_ref()? {
            Part::Loaded(range) => self.loaded.slice(range.clone()),
            Part::Given(bytes) => bytes.clone(),
        };
        Some(Value {
            bytes,
            format: slot.format,
        })
    }

    pub(super) fn insert(&mut self, key: &str, value: Value) {
        let own = || Part::Given(Bytes::copy_from_slice(key.as_bytes()));
        self.file(key.into(), own, Part::Given(value.bytes), value.format);
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
            let slot = &mut self.slots[place];
            (slot.value, slot.format) = (Some(value), format);
            return;
        }
        self.seen |= key.mark();
        self.len += 1;
        self.slots.push(Slot {
            key: own(),
            is_text: key.is_text,
            value: Some(value),
            format,
        });
        if self.index.is_some() {
            self.index_from(self.slots.len() - 1);
        } else if self.slots.len() > COMPARED {
            self.reindex();
        }
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.slots[place].value = None;
        self.len -= 1;
        // Every walk passes the slots without a value; while they are fewer than the others, that costs little.
        if self.slots.len() > 2 * self.len {
            self.reindex();
        }
    }

    /// Where the entry of `key` is, until one is removed.
    pub(super) fn place(&self, key: Key<'_>) -> Option<usize> {
        let is_key = |slot: &Slot| slot.key(&self.loaded) == key && slot.value.is_some();
        if let Some((places, hasher)) = &self.index {
            let found = places.find(hasher.hash_one(key), |place| is_key(&self.slots[*place]));
            return found.copied();
        }
        let may_be_here = self.seen & key.mark() != 0;
        may_be_here.then(|| self.slots.iter().position(is_key))?
    }

    /// Drops the slots without a value, and makes the index anew if many others are left.
    fn reindex(&mut self) {
        self.slots.retain(|slot| slot.value.is_some());
        self.index = (self.slots.len() > COMPARED).then(Default::default);
        self.index_from(0);
    }

    /// Adds the slots from `first` on to the index, if there is one.
    fn index_from(&mut self, first: usize) {
        let Some((places, hasher)) = &mut self.index else {
            return;
        };
        let hash = |place: &usize| hasher.hash_one(self.slots[*place].key(&self.loaded));
        for place in first..self.slots.len() {
            places.insert_unique(hash(&place), place, hash);
        }
    }
}

impl Slot {
    fn key<'a>(&'a self, loaded: &'a [u8]) -> Key<'a> {
        Key {
            bytes: self.key.of(loaded),
            is_text: self.is_text,
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
        Self {
            bytes: text.as_bytes(),
            is_text: true,
        }
    }
}

impl<'a> Key<'a> {
    pub(super) fn as_text(self) -> Option<&'a str> {
        let text =
            || std::str::from_utf8(self.bytes).expect("a text is checked when it becomes a key");
        self.is_text.then(text)
    }

    /// One bit, not the same for most keys that differ.
    fn mark(self) -> u64 {
        let [first, last] = [self.bytes.first(), self.bytes.last()]
            .map(|byte| byte.map_or(0, |it| usize::from(*it)));
        1 << ((self.bytes.len() + first * 7 + last * 31) % 64)
    }
}
