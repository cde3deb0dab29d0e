//! The entries of a payload, as a Python dict orders them. Keys and values are slices of the loaded
//! bytes.

use std::{
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::LazyLock,
};

use bytes::Bytes;
use hashbrown::HashTable;

use super::{Format, Value};

/// The first byte of a key that is not text; the encoded key follows. Neither UTF-8 nor
/// `MessagePack` has such a byte.
pub(super) const NOT_TEXT: u8 = 0xc1;

/// Up to so many keys are compared one by one. With more keys, a hash table is used.
pub(super) const MAX_COMPARED: usize = 32;

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A key, its encoded value, and the value's format.
pub(super) type Entry<'a> = (&'a [u8], &'a [u8], Format);

/// A range of the loaded bytes, or bytes of its own.
#[derive(Clone)]
enum Part {
    Loaded(Range<usize>),
    Owned(Bytes),
}

/// A key, and its value unless that was removed.
#[derive(Clone)]
struct Slot {
    key: Part,
    value: Option<Part>,
    format: Format,
}

/// Entries as a Python dict has them: in the order in which their keys came, a key's last value in
/// the position of its first.
#[derive(Clone, Default)]
pub(super) struct Entries {
    loaded: Bytes,
    /// A removed entry stays as a slot without a value, so that the others need not move.
    slots: Vec<Slot>,
    len: usize,
    /// A bit for each key that may be here, so that most absent keys need no comparison.
    key_bits: u64,
    /// The positions of all slots by the hashes of their keys, if there are many.
    index: HashTable<usize>,
}

impl Entries {
    /// For entries of `loaded`. `expected` is what the bytes claim, so little memory is reserved
    /// for it.
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

    pub(super) fn value(&self, key: &[u8]) -> Option<Value> {
        let slot = &self.slots[self.index_of(key)?];
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

    /// Adds `value`, a part of the loaded bytes. `key` may be one, too.
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

    /// `bytes` as a part of the loaded bytes, or copied if they are not in them.
    fn part(&self, bytes: &[u8]) -> Part {
        let loaded = self.loaded.as_ptr_range();
        if !loaded.contains(&bytes.as_ptr()) {
            return Part::Owned(Bytes::copy_from_slice(bytes));
        }
        let start = bytes.as_ptr().addr() - loaded.start.addr();
        Part::Loaded(start..start + bytes.len())
    }

    /// Removes the entry of `key`, and returns its value.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Value> {
        let position = self.index_of(key)?;
        let value = self.value(key);
        self.slots[position].value = None;
        self.len -= 1;
        // Every search passes the slots without a value. This is cheap while they are the minority.
        if self.slots.len() > 2 * self.len {
            self.slots.retain(|slot| slot.value.is_some());
            self.index.clear();
            if self.slots.len() > MAX_COMPARED {
                self.index();
            }
        }
        value
    }

    /// The position of the entry of `key`.
    fn index_of(&self, key: &[u8]) -> Option<usize> {
        let is_key = |slot: &Slot| slot.key.of(&self.loaded) == key && slot.value.is_some();
        if !self.index.is_empty() {
            let is_here = |position: &usize| is_key(&self.slots[*position]);
            return self.index.find(HASHER.hash_one(key), is_here).copied();
        }
        let may_be_here = self.key_bits & key_bit(key) != 0;
        may_be_here.then(|| self.slots.iter().position(is_key))?
    }

    /// Adds the slots that the index lacks.
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

/// A bit that depends on the key.
pub(super) fn key_bit(key: &[u8]) -> u64 {
    let [first, last] = [key.first(), key.last()].map(|byte| byte.map_or(0, |it| usize::from(*it)));
    1 << ((key.len() + first * 7 + last * 31) % 64)
}
