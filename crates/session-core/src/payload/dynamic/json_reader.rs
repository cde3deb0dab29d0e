use std::fmt;

use serde::{
    Deserializer as _,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Dynamic;
use crate::payload::{MAX_DEPTH, json, malformed::Malformed};

pub(in crate::payload) fn from_json(text: &[u8]) -> Result<Dynamic, Malformed> {
    json::check_depth(text, MAX_DEPTH)?;
    let text: &RawValue = serde_json::from_slice(text).map_err(|_| Malformed::NotJson)?;
    read(text.get())
}

/// Reads one value without blanks around it.
///
/// `serde_json` alone would turn integers beyond 64 bits into floats.
fn read(text: &str) -> Result<Dynamic, Malformed> {
    match text.as_bytes().first() {
        Some(b'n') => Ok(Dynamic::Nil),
        Some(b't') => Ok(Dynamic::Bool(true)),
        Some(b'f') => Ok(Dynamic::Bool(false)),
        Some(b'"') => parse(text).map(Dynamic::Text),
        Some(b'[') => {
            let items: Vec<&RawValue> = parse(text)?;
            let items = items.into_iter().map(|item| read(item.get()));
            Ok(Dynamic::Array(items.collect::<Result<_, _>>()?))
        }
        Some(b'{') => {
            let pairs = serde_json::Deserializer::from_str(text)
                .deserialize_map(PairsVisitor)
                .map_err(|_| Malformed::NotJson)?;
            let pairs = pairs
                .into_iter()
                .map(|(key, value)| Ok((Dynamic::Text(key), read(value.get())?)));
            Ok(Dynamic::Map(pairs.collect::<Result<_, _>>()?))
        }
        _ => read_number(text),
    }
}

fn parse<'de, T: serde::Deserialize<'de>>(text: &'de str) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|_| Malformed::NotJson)
}

fn read_number(text: &str) -> Result<Dynamic, Malformed> {
    if text.contains(['.', 'e', 'E']) {
        let value: f64 = text.parse().map_err(|_| Malformed::NotJson)?;
        return if value.is_finite() {
            Ok(Dynamic::Float(value))
        } else {
            Err(Malformed::Number)
        };
    }
    if let Ok(value) = text.parse() {
        return Ok(Dynamic::Int(value));
    }
    if let Ok(value) = text.parse() {
        return Ok(Dynamic::UInt(value));
    }
    Ok(Dynamic::BigInt(text.to_owned()))
}

/// Collects an object's pairs in their order, each value unread.
struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}
