//! The session's data: an ordered map of keys to encoded values, split without decoding any of them.

mod dynamic;
mod encoded;
mod entries;
mod gather;
mod json;
mod json_writer;
mod key;
mod malformed;
mod mismatch;
mod msgpack;
mod msgpack_writer;
mod pickle;
mod reader;
mod unwritable;
mod value;

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;

pub use dynamic::Dynamic;
pub use pickle::is_pickle;
pub use value::Value;

use crate::error::{Error, Result};
use entries::Entries;
use key::KeyRef;
use unwritable::Unwritable;

/// How deep a value's lists and maps may nest.
const MAX_DEPTH: usize = 64;

/// How many keys a session may have.
const MAX_KEYS: usize = 16_384;

/// How a session is encoded in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// `MessagePack`, Flask-Session's default and ours: compact, and it keeps every type.
    #[default]
    MessagePack,
    /// JSON: readable in the store; bytes and timestamps become text.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessagePack => "MessagePack",
            Self::Json => "JSON",
        })
    }
}

/// A session's data: text keys in the order of their insertion, each with an encoded [`Value`].
///
/// Values that nobody changes are written back byte for byte. So are entries whose key is not text, which Flask can
/// write: they count in [`len`](Self::len), but no method names them. Cheap to clone. At most 16,384 keys, and values
/// that nest at most 64 deep.
///
/// `Debug` shows the number of keys and bytes, never what they hold.
#[derive(Clone, Default)]
pub struct Payload {
    entries: Entries,
}

impl Payload {
    /// An empty payload.
    pub fn new() -> Self {
        Self::default()
    }

    /// Splits what a store keeps; `None` if that is nothing, nil or null, which Flask takes for no session.
    ///
    /// Either format is recognised, whatever the one that is configured, so that an application may change it. If a key
    /// comes twice, its last value counts.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the bytes are not one whole map, of any of the two formats and within the bounds.
    pub fn decode(bytes: impl Into<Vec<u8>>, configured: Format) -> Result<Option<Self>> {
        let bytes = Bytes::from(bytes.into());
        if bytes.is_empty() {
            return Ok(None);
        }
        // What starts JSON is a small number in MessagePack, and so never a map.
        let entries = match bytes.trim_ascii_start().first() {
            Some(b'{' | b'n') => json::split(&bytes),
            _ => msgpack::split(&bytes, configured),
        };
        let entries = entries.map_err(Error::corrupt)?;
        Ok(entries.map(|entries| Self { entries }))
    }

    /// Encodes the payload; values that have `format` already are copied.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] naming the key whose value `format` cannot tell: integers beyond 64 bits in `MessagePack`;
    /// extension types, and keys such as nil or lists, in JSON. Also if there are too many keys.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>> {
        self.encode_with(None, format)
    }

    /// Encodes the payload with one more entry behind the others; its key is none of theirs.
    pub(crate) fn encode_with(
        &self,
        last: Option<(&str, &Value)>,
        format: Format,
    ) -> Result<Vec<u8>> {
        if self.entries.len() > MAX_KEYS {
            return Err(Error::encode(Unwritable::TooManyKeys));
        }
        let count = self.entries.len() + usize::from(last.is_some());
        let last = last.map(|(key, value)| (KeyRef::Text(key.as_bytes()), value.as_encoded()));
        let entries = self.entries.iter().chain(last);
        let size = entries::size(entries.clone());
        match format {
            Format::MessagePack => msgpack::join(entries, count, size),
            Format::Json => json::join(entries, count, size),
        }
    }

    /// Decodes the value of `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if it is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.value(key).map(|value| value.decode()).transpose()
    }

    /// The encoded value of `key`.
    pub fn value(&self, key: &str) -> Option<Value> {
        self.entries.get(key)
    }

    /// Files `value` under `key`: in the place of the value that was there, or else at the end.
    pub fn insert_value(&mut self, key: &str, value: Value) {
        self.entries.insert(key, value);
    }

    /// Takes `key` and its value out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.entries.remove(key)
    }

    /// Whether `key` has a value, be it nil.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.contains(key)
    }

    /// The keys that are text, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|(key, _)| key.as_text())
    }

    /// The number of entries, those included whose key is not text.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all entries out, those included whose key is not text.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keys, bytes) = (self.len(), entries::size(self.entries.iter()));
        write!(f, "Payload({keys} keys, {bytes} bytes)")
    }
}
