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

/// Entries in their order, with the bytes that they were loaded from; a clone copies the list when one of them changes.
#[derive(Clone, Default)]
pub(super) struct Entries {
    loaded: Arc<Vec<u8>>,
    list: Arc<Vec<Entry>>,
}

impl Entries {
    pub(super) fn new(loaded: Arc<Vec<u8>>, list: Vec<Entry>) -> Self {
        Self {
            loaded,
            list: Arc::new(list),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.place(key).map(|place| &self.list[place].value)
    }

    pub(super) fn insert(&mut self, key: &str, value: Value) {
        let place = self.place(key);
        let list = Arc::make_mut(&mut self.list);
        if let Some(place) = place {
            list[place].value = value;
        } else {
            let key = Key::Given(key.into());
            list.push(Entry { key, value });
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Value> {
        let place = self.place(key)?;
        Some(Arc::make_mut(&mut self.list).remove(place).value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyRef<'_>, &Value)> + Clone {
        self.list
            .iter()
            .map(|entry| (entry.key.of(&self.loaded), &entry.value))
    }

    fn place(&self, key: &str) -> Option<usize> {
        let key = KeyRef::Text(key.as_bytes());
        self.iter().position(|(other, _)| other == key)
    }
}

/// The bytes that keys and values take, without the heads that an encoding adds.
pub(super) fn size<'a>(entries: impl Iterator<Item = (KeyRef<'a>, &'a Value)>) -> usize {
    entries
        .map(|(key, value)| key.as_bytes().len() + value.as_bytes().len())
        .sum()
}
