use std::fmt;

use bytes::Bytes;
use serde::{
    Deserializer as _,
    de::{self, DeserializeSeed, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Format, MAX_DEPTH, Value, dynamic,
    entries::{Entry, Gather, Key},
    malformed::Malformed,
    unwritable::Unwritable,
};
use crate::error::Result;

/// Splits an object into its entries; `None` for `null`, which Flask takes for no session.
pub(super) fn split(bytes: &Bytes) -> Result<Option<Vec<Entry>>, Malformed> {
    if bytes.trim_ascii() == b"null" {
        return Ok(None);
    }
    // The payload's own object is not counted.
    check_depth(bytes, MAX_DEPTH + 1)?;
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let mut fault = Malformed::NotJson;
    let entries = parser
        .deserialize_map(ObjectVisitor {
            bytes,
            fault: &mut fault,
        })
        .map_err(|_| fault)?;
    parser.end().map_err(|_| Malformed::Trailing)?;
    Ok(Some(entries))
}

/// Refuses a text that is not one JSON value, without blanks around it.
pub(super) fn check_value(text: &[u8]) -> Result<(), Malformed> {
    check_depth(text, MAX_DEPTH)?;
    let value: &RawValue = serde_json::from_slice(text).map_err(|_| Malformed::NotJson)?;
    if value.get().len() == text.len() {
        Ok(())
    } else {
        Err(Malformed::Trailing)
    }
}

/// Refuses lists and objects that nest more than `limit` deep.
///
/// The parser skips over values without recursion and so without a limit of its own.
pub(super) fn check_depth(text: &[u8], limit: usize) -> Result<(), Malformed> {
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut escaped = false;
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return Err(Malformed::TooDeep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Writes an object of the entries.
pub(super) fn join(entries: &[Entry]) -> Result<Vec<u8>> {
    let size = 2 + entries.iter().map(|entry| entry.len() + 4).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.push(b'{');
    for (place, entry) in entries.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_key(&mut out, &entry.key).map_err(|fault| entry.unwritable(fault))?;
        out.push(b':');
        let value = entry.value.encoded_as(Format::Json);
        out.extend_from_slice(&value.map_err(|fault| entry.unwritable(fault))?);
    }
    out.push(b'}');
    Ok(out)
}

fn write_key(out: &mut Vec<u8>, key: &Key) -> Result<(), Unwritable> {
    match key {
        Key::Text(_) => serde_json::to_writer(out, &key.as_text()).map_err(|_| Unwritable::Key),
        Key::Other(key) => dynamic::write_key(out, &dynamic::from_msgpack(key)?),
    }
}

struct ObjectVisitor<'a> {
    bytes: &'a Bytes,
    fault: &'a mut Malformed,
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Entry>, A::Error> {
        let mut entries = Gather::default();
        while let Some(key) = map.next_key_seed(KeySeed(self.bytes))? {
            let text: &'de RawValue = map.next_value()?;
            let value = self.bytes.slice_ref(text.get().as_bytes());
            if let Err(fault) = entries.push(key, Value::checked(value, Format::Json)) {
                *self.fault = fault;
                return Err(de::Error::custom(fault));
            }
        }
        Ok(entries.finish())
    }
}

/// Takes a key as a slice of the loaded bytes, or as a copy if it is written with escapes.
struct KeySeed<'a>(&'a Bytes);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key, E> {
        Ok(Key::Text(self.0.slice_ref(text.as_bytes())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Key, E> {
        Ok(Key::Text(Bytes::copy_from_slice(text.as_bytes())))
    }
}
