//! Splits, checks and writes payloads in JSON.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{
    error::Category,
    ser::{CompactFormatter, Formatter, Serializer},
    value::RawValue,
};

use super::{
    Format, MAX_DEPTH, MAX_KEYS, Payload, Reason, TOO_DEEP, TOO_MANY_KEYS, dynamic,
    entries::{Entries, NOT_TEXT},
};
use crate::error::BoxError;

/// Most objects have no more pairs, so that their list need not grow.
const USUAL_PAIRS: usize = 16;

const NOT_JSON: Reason = "it is not JSON";

/// Splits an object into its entries. `None` for `null`, which Flask reads as no session.
pub(super) fn split(bytes: &Bytes) -> Result<Option<Payload>, Reason> {
    if bytes.trim_ascii() == b"null" {
        return Ok(None);
    }
    // The object of the payload does not count as a level.
    check_depth(bytes, MAX_DEPTH + 1)?;
    let mut entries = Entries::of(bytes.clone(), 0);
    for (key, value) in pairs(bytes, MAX_KEYS)? {
        entries.load(key.as_bytes(), value.as_bytes(), Format::Json);
    }
    Ok(Some(entries.into()))
}

/// Refuses a text that is not exactly one JSON value without whitespace around it.
pub(super) fn check(text: &[u8]) -> Result<(), Reason> {
    check_depth(text, MAX_DEPTH)?;
    let value: &RawValue = parse(text)?;
    let is_all = value.get().len() == text.len();
    is_all.then_some(()).ok_or(NOT_JSON)
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Reason> {
    serde_json::from_slice(text).map_err(|_| NOT_JSON)
}

/// The pairs of the object `text`, at most `most`. The values are not decoded.
pub(super) fn pairs(text: &[u8], most: usize) -> Result<Vec<(Cow<'_, str>, &str)>, Reason> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let pairs = parser.deserialize_map(Pairs(most));
    let pairs = pairs.map_err(|error| match error.classify() {
        Category::Data => TOO_MANY_KEYS,
        _ => NOT_JSON,
    })?;
    parser.end().map_err(|_| NOT_JSON)?;
    Ok(pairs)
}

struct Pairs(usize);

/// A text, borrowed if no character of it is escaped.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(text.to_owned().into()))
            }
        }

        deserializer.deserialize_str(AnyText)
    }
}

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(Cow<'de, str>, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(USUAL_PAIRS);
        while let Some((Text(key), value)) = map.next_entry::<_, &RawValue>()? {
            if pairs.len() == self.0 {
                return Err(A::Error::custom(TOO_MANY_KEYS));
            }
            pairs.push((key, value.get()));
        }
        Ok(pairs)
    }
}

/// Refuses lists and objects that nest more than `limit` deep.
///
/// The parser skips values without recursion, so it has no limit of its own.
pub(super) fn check_depth(text: &[u8], limit: usize) -> Result<(), Reason> {
    // Both brackets differ by one bit. Counting in bytes is many times as fast.
    let opening = |byte: &u8| u8::from(byte | 0x20 == b'{');
    let count = |chunk: &[u8]| usize::from(chunk.iter().map(opening).sum::<u8>());
    if text.chunks(255).map(count).sum::<usize>() <= limit {
        return Ok(());
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' if depth == limit => return Err(TOO_DEEP),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Appends a key, with the bracket or the comma before it. `out` is the object so far.
pub(super) fn write_key(out: &mut Vec<u8>, key: &[u8]) -> Result<(), BoxError> {
    out.push(if out.is_empty() { b'{' } else { b',' });
    if let [NOT_TEXT, key @ ..] = key {
        let key = dynamic::read(key, Format::MessagePack)?;
        write(out, &dynamic::key_text(&key, Some(Format::Json))?)?;
    } else {
        write(out, str::from_utf8(key)?)?;
    }
    out.push(b':');
    Ok(())
}

/// Appends `value` as compact JSON, its floats as Flask-Session writes them.
pub(super) fn write<T: Serialize + ?Sized>(
    out: &mut impl Write,
    value: &T,
) -> Result<(), BoxError> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, PlainExponents))?)
}

/// Compact JSON without a sign before a positive exponent: `1e16`, where `serde_json` writes
/// `1e+16`.
struct PlainExponents;

impl Formatter for PlainExponents {
    fn write_f64<W: Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let mut text = Vec::with_capacity(24);
        CompactFormatter.write_f64(&mut text, value)?;
        text.retain(|byte| *byte != b'+');
        writer.write_all(&text)
    }

    fn write_f32<W: Write + ?Sized>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        let mut text = Vec::with_capacity(16);
        CompactFormatter.write_f32(&mut text, value)?;
        text.retain(|byte| *byte != b'+');
        writer.write_all(&text)
    }
}
