use std::{
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::LazyLock,
};

use bytes::Bytes;
use hashbrown::HashTable;

use super::{Format, Value};

/// What a key begins with that is no text, but whatever else Flask lets a session be indexed by, encoded. Neither UTF-8
/// nor `MessagePack` has such a byte.
pub(super) const NOT_TEXT: u8 = 0xc1;

/// So many keys are compared one by one; beyond them, a key is looked up by its hash.
const MAX_COMPARED: usize = 32;

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A key, its encoded value, and the format of that.
pub(super) type Entry<'a> = (&'a [u8], &'a [u8], Format);

/// Bytes that stand in what was loaded, or on their own.
#[derive(Clone)]
enum Part {
    Loaded(Range<usize>),
    Owned(Bytes),
}

/// A key, and its value if it was not removed.
#[derive(Clone)]
struct Slot {
    key: Part,
    value: Option<Part>,
    format: Format,
}

/// Entries as a Python dict has them: in the order in which their keys came, a key's last value in the position of its
/// first.
#[derive(Clone, Default)]
pub(super) struct Entries {
    loaded: Bytes,
    /// What is removed stays as a slot without a value, so that the others need not move each time.
    slots: Vec<Slot>,
    len: usize,
    /// A bit for each key that may be here: most that are not need no comparison.
    key_bits: u64,
    /// The places of all slots by the hashes of their keys, once they are many.
    index: HashTable<usize>,
}

impl Entries {
    /// Room for entries that stand in `loaded`, and for few of the `expected` at once: their number is only what the
    /// bytes say.
    pub(super) fn of(loaded: Bytes, expected: usize) -> Self {
        let slots = Vec::with_capacity(expected.min(MAX_COMPARED));
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
            Some((slot.key.of(&self.loaded), value, slot.format))
        })
    }

    pub(super) fn value(&self, position: usize) -> Option<Value> {
        let slot = &self.slots[position];
        let bytes = match slot.value.as_ref()? {
            Part::Loaded(range) => self.loaded.slice(range.clone()),
            Part::Owned(bytes) => bytes.clone(),
        };
        let format = slot.format;
        Some(Value { bytes, format })
    }

    pub(super) fn insert(&mut self, key: &[u8], value: Value) {
        self.put(key, Part::Owned(value.bytes), value.format);
    }

    /// Files `value`, which is in what was loaded, as `key` may be.
    pub(super) fn load(&mut self, key: &[u8], value: &[u8], format: Format) {
        self.put(key, self.part(value), format);
    }

    fn put(&mut self, key: &[u8], value: Part, format: Format) {
        if let Some(position) = self.index_of(key) {
            let slot = &mut self.slots[position];
            (slot.value, slot.format) = (Some(value), format);
            return;
        }
        self.key_bits |= key_bit(key);
        self.len += 1;
        self.slots.push(Slot {
            key: self.part(key),
            value: Some(value),
            format,
        });
        if self.slots.len() > MAX_COMPARED {
            self.index();
        }
    }

    /// `bytes`, copied if they are not in what was loaded.
    fn part(&self, bytes: &[u8]) -> Part {
        let loaded = self.loaded.as_ptr_range();
        if !loaded.contains(&bytes.as_ptr()) {
            return Part::Owned(Bytes::copy_from_slice(bytes));
        }
        let start = bytes.as_ptr().addr() - loaded.start.addr();
        Part::Loaded(start..start + bytes.len())
    }

    pub(super) fn remove(&mut self, position: usize) {
        self.slots[position].value = None;
        self.len -= 1;
        // Every walk passes the slots without a value; while they are fewer than the others, that costs little.
        if self.slots.len() > 2 * self.len {
            self.slots.retain(|slot| slot.value.is_some());
            self.index.clear();
            if self.slots.len() > MAX_COMPARED {
                self.index();
            }
        }
    }

    /// Where the entry of `key` is, until one is removed.
    pub(super) fn index_of(&self, key: &[u8]) -> Option<usize> {
        let is_key = |slot: &Slot| slot.key.of(&self.loaded) == key && slot.value.is_some();
        if !self.index.is_empty() {
            let is_here = |position: &usize| is_key(&self.slots[*position]);
            return self.index.find(HASHER.hash_one(key), is_here).copied();
        }
        let may_be_here = self.key_bits & key_bit(key) != 0;
        may_be_here.then(|| self.slots.iter().position(is_key))?
    }

    /// Adds to the index what it lacks.
    fn index(&mut self) {
        let hash = |position: &usize| HASHER.hash_one(self.slots[*position].key.of(&self.loaded));
        for position in self.index.len()..self.slots.len() {
            self.index.insert_unique(hash(&position), position, hash);
        }
    }
}

impl Part {
    fn of<'a>(&'a self, loaded: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Loaded(range) => &loaded[range.clone()],
            Self::Owned(bytes) => bytes,
        }
    }
}

/// One bit, not the same for most keys that differ.
fn key_bit(key: &[u8]) -> u64 {
    let [first, last] = [key.first(), key.last()].map(|byte| byte.map_or(0, |it| usize::from(*it)));
    1 << ((key.len() + first * 7 + last * 31) % 64)
}
