use std::{fmt, ops::Range};

use bytes::Bytes;
use serde::{
    Deserializer as _,
    de::{self, DeserializeSeed, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Format, MAX_DEPTH, dynamic,
    encoded::Encoded,
    entries::Entries,
    gather::Gather,
    json_writer,
    key::{Key, KeyRef},
    malformed::Malformed,
    unwritable::Unwritable,
};
use crate::error::Result;

/// Splits an object into its entries; `None` for `null`, which Flask takes for no session.
pub(super) fn split(bytes: &Bytes) -> Result<Option<Entries>, Malformed> {
    if bytes.trim_ascii() == b"null" {
        return Ok(None);
    }
    // The payload's own object is not counted.
    check_depth(bytes, MAX_DEPTH + 1)?;
    let mut entries = Gather::new(bytes, Format::Json, 0);
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let mut fault = Malformed::NotJson;
    parser
        .deserialize_map(ObjectVisitor {
            bytes,
            entries: &mut entries,
            fault: &mut fault,
        })
        .map_err(|_| fault)?;
    parser.end().map_err(|_| Malformed::Trailing)?;
    Ok(Some(entries.finish()))
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
    let opening = |byte: &&u8| matches!(byte, b'[' | b'{');
    if text.iter().filter(opening).count() <= limit {
        return Ok(());
    }
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
pub(super) fn join<'a>(
    entries: impl Iterator<Item = (KeyRef<'a>, Encoded<'a>)>,
    count: usize,
    size: usize,
) -> Result<Vec<u8>> {
    // Two quotes, a colon and a comma for each.
    let mut out = Vec::with_capacity(size + count * 4 + 2);
    out.push(b'{');
    for (place, (key, value)) in entries.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_key(&mut out, key).map_err(|fault| key.unwritable(fault))?;
        out.push(b':');
        let value = value.in_format(Format::Json);
        out.extend_from_slice(&value.map_err(|fault| key.unwritable(fault))?);
    }
    out.push(b'}');
    Ok(out)
}

fn write_key(out: &mut Vec<u8>, key: KeyRef<'_>) -> Result<(), Unwritable> {
    if let Some(text) = key.as_text() {
        json_writer::write(out, text).expect("a Vec takes every write, and JSON every text");
        return Ok(());
    }
    dynamic::write_key(out, &dynamic::from_msgpack(key.as_bytes())?)
}

struct ObjectVisitor<'a, 'b> {
    bytes: &'a [u8],
    entries: &'b mut Gather<'a>,
    fault: &'b mut Malformed,
}

impl<'de> Visitor<'de> for ObjectVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed(self.bytes))? {
            let text: &'de RawValue = map.next_value()?;
            let range = place_in(self.bytes, text.get());
            if let Err(fault) = self.entries.push(key, range) {
                *self.fault = fault;
                return Err(de::Error::custom(fault));
            }
        }
        Ok(())
    }
}

/// Takes a key where it stands, or as a copy if it is written with escapes.
struct KeySeed<'a>(&'a [u8]);

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
        Ok(Key::Loaded(place_in(self.0, text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Key, E> {
        Ok(Key::Given(text.into()))
    }
}

/// Where in `bytes` the parser found `text`, which it borrowed from there.
fn place_in(bytes: &[u8], text: &str) -> Range<usize> {
    let start = text.as_ptr().addr() - bytes.as_ptr().addr();
    start..start + text.len()
}
