use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{
    Format, Value,
    encoded::Encoded,
    key::{Key, KeyRef},
};

/// A key and its value; both may stand in the bytes that were loaded.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) value: Filed,
}

/// A value where it is.
#[derive(Clone)]
pub(super) enum Filed {
    /// There in the loaded bytes.
    Loaded(Range<usize>),
    Given(Value),
}

/// Entries in their order, with the bytes that they were loaded from; a clone copies the list when one of them changes.
#[derive(Clone, Default)]
pub(super) struct Entries {
    loaded: Bytes,
    format: Format,
    list: Arc<Vec<Entry>>,
}

impl Entries {
    /// Entries of which some stand in `loaded`, in `format`.
    pub(super) fn new(loaded: Bytes, format: Format, list: Vec<Entry>) -> Self {
        Self {
            loaded,
            format,
            list: Arc::new(list),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<Value> {
        self.place(key).map(|place| self.value(&self.list[place]))
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.place(key).is_some()
    }

    pub(super) fn insert(&mut self, key: &str, value: Value) {
        let value = Filed::Given(value);
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
        let value = self.value(&self.list[place]);
        Arc::make_mut(&mut self.list).remove(place);
        Some(value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyRef<'_>, Encoded<'_>)> + Clone {
        self.list.iter().map(|entry| {
            let value = match &entry.value {
                Filed::Loaded(range) => Encoded::new(&self.loaded[range.clone()], self.format),
                Filed::Given(value) => value.as_encoded(),
            };
            (entry.key.of(&self.loaded), value)
        })
    }

    fn value(&self, entry: &Entry) -> Value {
        match &entry.value {
            Filed::Loaded(range) => Value::checked(self.loaded.slice(range.clone()), self.format),
            Filed::Given(value) => value.clone(),
        }
    }

    fn place(&self, key: &str) -> Option<usize> {
        let key = KeyRef::Text(key.as_bytes());
        self.list
            .iter()
            .position(|entry| entry.key.of(&self.loaded) == key)
    }
}

/// The bytes that keys and values take, without the heads that an encoding adds.
pub(super) fn size<'a>(entries: impl Iterator<Item = (KeyRef<'a>, Encoded<'a>)>) -> usize {
    entries
        .map(|(key, value)| key.as_bytes().len() + value.bytes().len())
        .sum()
}
