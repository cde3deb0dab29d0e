use std::sync::Arc;

use super::{
    Value,
    key::{Key, KeyRef},
};

/// A key and its value; the key may stand in the bytes that were loaded.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) value: Value,
}

/// Entries in their order, with the bytes that they were loaded from.
#[derive(Clone, Default)]
pub(super) struct Entries {
    loaded: Arc<Vec<u8>>,
    list: Vec<Entry>,
}

impl Entries {
    pub(super) fn new(loaded: Arc<Vec<u8>>, list: Vec<Entry>) -> Self {
        Self { loaded, list }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.place(key).map(|place| &self.list[place].value)
    }

    pub(super) fn insert(&mut self, key: &str, value: Value) {
        if let Some(place) = self.place(key) {
            self.list[place].value = value;
        } else {
            let key = Key::Given(key.into());
            self.list.push(Entry { key, value });
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Value> {
        let place = self.place(key)?;
        Some(self.list.remove(place).value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyRef<'_>, &Value)> {
        self.list
            .iter()
            .map(|entry| (entry.key.of(&self.loaded), &entry.value))
    }

    /// The bytes that keys and values take, without the heads that an encoding adds.
    pub(super) fn size(&self) -> usize {
        self.iter()
            .map(|(key, value)| key.as_bytes().len() + value.as_bytes().len())
            .sum()
    }

    fn place(&self, key: &str) -> Option<usize> {
        let key = KeyRef::Text(key.as_bytes());
        self.iter().position(|(other, _)| other == key)
    }
}
