//! A session's data: an ordered map of keys to encoded values, which are not decoded when it is
//! loaded.

mod buffer;
mod dynamic;
mod entries;
mod json;
mod msgpack;
mod pickle;
mod value;

use std::{fmt, io, sync::Arc};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub use dynamic::Dynamic;
pub use pickle::is_pickle;
pub use value::Value;

use crate::error::{BoxError, Error, Result};
use dynamic::Written;
use entries::{Entries, Entry};
use msgpack::InPlace;

/// How deep a value's lists and maps may nest.
const MAX_DEPTH: usize = 64;

/// How many keys a session may have.
const MAX_KEYS: usize = 16_384;

/// How many bytes an encoding adds to a key or a map at most.
const MAX_HEAD: usize = 5;

/// Why bytes are not a session or a value. It quotes none of them, so it can be logged.
pub(crate) type Reason = &'static str;

const NOT_UTF8: Reason = "a text in it is not UTF-8";
const TOO_DEEP: Reason = "its lists and maps nest more than 64 deep";
const TOO_MANY_KEYS: Reason = "it has more than 16384 keys";

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

/// The pairs of a JSON object, decoded. `float` reads numbers that are no integers.
///
/// # Errors
///
/// If it is not an object within the limits.
#[cfg(feature = "flask-cookie")]
pub(crate) fn json_object(
    text: &[u8],
    float: fn(&str) -> Option<f64>,
) -> Result<Vec<(String, Dynamic)>, Reason> {
    json::check_depth(text, MAX_DEPTH + 1)?;
    let pairs = json::pairs(text, MAX_KEYS)?.into_iter();
    pairs
        .map(|(key, value)| Ok((key.into(), dynamic::from_json(value, float)?)))
        .collect()
}

/// A session's data: text keys in the order of their insertion, each with an encoded [`Value`].
///
/// Unchanged values are written back byte for byte. So are entries whose key is not text, which
/// Flask can write. They count in [`len`](Self::len), but no method returns them. A clone is cheap;
/// the first change after it, or after [`decode`](Self::decode), copies the list of entries. Every
/// other change takes constant time.
///
/// A payload has at most 16,384 keys, including the library's own, and its values nest at most 64
/// deep.
///
/// `Debug` shows the number of keys and bytes, never what they hold.
#[derive(Clone, Default)]
pub struct Payload {
    /// The entries as they were loaded, unless there is a list of them.
    in_place: InPlace,
    list: Option<Arc<Entries>>,
}

impl Payload {
    /// An empty payload.
    pub fn new() -> Self {
        Self::default()
    }

    /// Splits a stored payload into its entries. `None` if it is empty, nil or null, which Flask
    /// reads as no session.
    ///
    /// Both formats are recognised, so that an application may change the configured one. If a key
    /// occurs twice, its last value counts. Values are not copied out of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the bytes are not exactly one map in one of the formats, within the
    /// limits.
    pub fn decode(bytes: impl Into<Bytes>, configured: Format) -> Result<Option<Self>> {
        let bytes = bytes.into();
        // The bytes that begin a JSON object are small numbers in MessagePack, so never a map.
        let payload = match bytes.trim_ascii_start().first() {
            Some(b'{' | b'n') => json::split(&bytes),
            None if bytes.is_empty() => Ok(None),
            _ => msgpack::split(&bytes),
        };
        payload.map_err(|reason| Error::corrupt(format!("{reason} ({configured} was expected)")))
    }

    /// Encodes the payload. Values that are in `format` already are copied.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] with the key whose value cannot be written in `format`: integers beyond 64
    /// bits in `MessagePack`; extension types, and keys such as nil or lists, in JSON. Also if
    /// there are too many keys.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>> {
        self.encode_with(None, format)
    }

    /// Appends the payload in `MessagePack`, which takes up to [`room`](Self::room) bytes.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) -> Result<()> {
        self.append(out, None, Format::MessagePack)
    }

    /// How many bytes the payload has at most where each value is in the format already.
    pub(crate) fn room(&self) -> usize {
        room(self.len(), self.iter())
    }

    /// Encodes the payload with one more entry at the end. No other entry may have its key.
    pub(crate) fn encode_with(
        &self,
        last: Option<(&str, &Value)>,
        format: Format,
    ) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.append(&mut out, last, format)?;
        Ok(out)
    }

    /// JSON only to an empty `out`.
    fn append(
        &self,
        out: &mut Vec<u8>,
        last: Option<(&str, &Value)>,
        format: Format,
    ) -> Result<()> {
        let last = last.map(|(key, value)| (key.as_bytes(), value.as_bytes(), value.format()));
        let count = self.len() + usize::from(last.is_some());
        if count > MAX_KEYS {
            return Err(Error::encode(TOO_MANY_KEYS));
        }
        let entries = self.iter().chain(last);
        out.reserve(room(count, entries.clone()));
        if format == Format::MessagePack {
            msgpack::write_head(out, count).map_err(Error::encode)?;
        }
        for entry in entries {
            write_entry(out, entry, format).map_err(|reason| {
                let named = str::from_utf8(entry.0).map(|key| format!("the value of {key:?}"));
                let named = named.unwrap_or("an entry whose key is not text".into());
                Error::encode(format!("{named} cannot be written: {reason}"))
            })?;
        }
        if format == Format::Json {
            out.extend_from_slice(if count == 0 { b"{}" } else { b"}" });
        }
        Ok(())
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
        match &self.list {
            Some(list) => list.value(key.as_bytes()),
            None => self.in_place.value(key.as_bytes()),
        }
    }

    /// Stores `value` under `key`. It replaces the value of `key`, or comes last.
    pub fn insert_value(&mut self, key: &str, value: Value) {
        self.list().insert(key.as_bytes(), value);
    }

    /// Removes `key`, and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        // Without the key the list need not be copied.
        self.value(key)?;
        self.list().remove(key.as_bytes())
    }

    /// Whether `key` has a value. Nil is one.
    pub fn contains(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// The keys that are text, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(|(key, ..)| str::from_utf8(key).ok())
    }

    /// The number of entries, including those whose key is not text.
    pub fn len(&self) -> usize {
        let list = self.list.as_ref();
        list.map_or(self.in_place.len(), |list| list.len())
    }

    /// Whether there is no entry at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all entries, including those whose key is not text.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn iter(&self) -> impl Iterator<Item = Entry<'_>> + Clone {
        let list = self.list.as_deref().map(Entries::iter);
        let in_place = list.is_none().then(|| self.in_place.iter());
        let in_place = in_place.into_iter().flatten();
        in_place.chain(list.into_iter().flatten())
    }

    /// The list of the entries, to change it.
    fn list(&mut self) -> &mut Entries {
        let in_place = &self.in_place;
        let list = self.list.get_or_insert_with(|| in_place.list().into());
        Arc::make_mut(list)
    }
}

impl From<InPlace> for Payload {
    fn from(in_place: InPlace) -> Self {
        let list = None;
        Self { in_place, list }
    }
}

impl From<Entries> for Payload {
    fn from(list: Entries) -> Self {
        Self {
            in_place: InPlace::default(),
            list: Some(list.into()),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keys, bytes) = (self.len(), size(self.iter()));
        write!(f, "Payload({keys} keys, {bytes} bytes)")
    }
}

/// The size of `count` entries with what an encoding adds at most.
fn room<'a>(count: usize, entries: impl Iterator<Item = Entry<'a>>) -> usize {
    size(entries) + (count + 1) * MAX_HEAD
}

/// The size of keys and values in bytes, without what an encoding adds.
fn size<'a>(entries: impl Iterator<Item = Entry<'a>>) -> usize {
    entries.map(|(key, value, _)| key.len() + value.len()).sum()
}

/// Appends a key and its value. A value that is in `format` already is copied.
fn write_entry(
    out: &mut Vec<u8>,
    (key, value, own): Entry<'_>,
    format: Format,
) -> Result<(), BoxError> {
    match format {
        Format::MessagePack => msgpack::write_key(out, key)?,
        Format::Json => json::write_key(out, key)?,
    }
    if own != format {
        let value = dynamic::read(value, own)?;
        return write(out, &Written(&value, Some(format)), format);
    }
    out.extend_from_slice(value);
    Ok(())
}

/// Appends `value` in `format`.
fn write<T: Serialize + ?Sized>(
    out: &mut impl io::Write,
    value: &T,
    format: Format,
) -> Result<(), BoxError> {
    match format {
        Format::MessagePack => msgpack::write(out, value),
        Format::Json => json::write(out, value),
    }
}

#[cfg(test)]
mod tests;
