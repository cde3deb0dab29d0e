//! [`Dynamic`]: any value, decoded without knowing its type, and its conversion from and to both
//! formats.

mod decoder;
mod mismatch;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rmp_serde::MSGPACK_EXT_STRUCT_NAME as EXTENSION;
use rmpv::ValueRef;
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use super::{Format, NOT_UTF8, Reason, Value, json};
use crate::{
    error::{BoxError, Result},
    timestamp::{self, Timestamp},
};

pub(super) use decoder::Decoder;

/// Any value of a session, decoded: for code that does not know the value's type.
///
/// `Debug` shows the contents.
#[derive(Clone, Debug, PartialEq)]
pub enum Dynamic {
    /// Nothing: Python's `None`.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer that fits in 64 bits with a sign.
    Int(i64),
    /// An integer of 2^63 to 2^64 - 1.
    UInt(u64),
    /// An integer beyond 64 bits, in decimal digits. Only JSON has them.
    BigInt(String),
    /// A float, also if it is whole.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes. In JSON they become base64 text, and are read back as text.
    Bytes(Vec<u8>),
    /// An instant. In JSON it becomes RFC 3339 text, and is read back as text.
    Timestamp(Timestamp),
    /// A list.
    Array(Vec<Dynamic>),
    /// A map, in order. Flask's keys may be of any type.
    Map(Vec<(Dynamic, Dynamic)>),
    /// Another extension type of `MessagePack`: its code and bytes.
    Ext(i8, Vec<u8>),
}

impl Dynamic {
    /// Encodes the value, as Flask-Session does.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`](crate::Error::Encode) if `format` has no form for it:
    /// [`BigInt`](Self::BigInt) in `MessagePack`; [`Ext`](Self::Ext), and keys such as nil or
    /// lists, in JSON; or if it nests more than 64 deep.
    pub fn to_value(&self, format: Format) -> Result<Value> {
        Value::encode(&Written(self, Some(format)), format)
    }
}

/// Decodes one value, whose limits were checked.
pub(super) fn read(bytes: &[u8], format: Format) -> Result<Dynamic, Reason> {
    match format {
        Format::MessagePack => {
            let value = rmpv::decode::read_value_ref(&mut &*bytes);
            from_msgpack(value.map_err(|_| "it is not MessagePack")?)
        }
        Format::Json => from_json(std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?, finite),
    }
}

fn from_msgpack(value: ValueRef<'_>) -> Result<Dynamic, Reason> {
    Ok(match value {
        ValueRef::Nil => Dynamic::Nil,
        ValueRef::Boolean(value) => Dynamic::Bool(value),
        ValueRef::Integer(value) => match value.as_i64() {
            Some(value) => Dynamic::Int(value),
            None => Dynamic::UInt(value.as_u64().unwrap_or_default()),
        },
        ValueRef::F32(value) => Dynamic::Float(value.into()),
        ValueRef::F64(value) => Dynamic::Float(value),
        ValueRef::String(text) => Dynamic::Text(text.into_string().ok_or(NOT_UTF8)?),
        ValueRef::Binary(bytes) => Dynamic::Bytes(bytes.to_vec()),
        ValueRef::Array(items) => {
            let items = items.into_iter().map(from_msgpack);
            Dynamic::Array(items.collect::<Result<_, Reason>>()?)
        }
        ValueRef::Map(pairs) => {
            let pairs = pairs.into_iter();
            let pairs = pairs.map(|(key, it)| Ok((from_msgpack(key)?, from_msgpack(it)?)));
            Dynamic::Map(pairs.collect::<Result<_, Reason>>()?)
        }
        ValueRef::Ext(code, body) => match Timestamp::from_ext(body) {
            Some(instant) if code == timestamp::EXT_CODE => Dynamic::Timestamp(instant),
            _ => Dynamic::Ext(code, body.to_vec()),
        },
    })
}

/// Decodes one value that has no whitespace around it.
///
/// `serde_json` alone would turn integers beyond 64 bits into floats. `float` reads other numbers.
pub(super) fn from_json(text: &str, float: fn(&str) -> Option<f64>) -> Result<Dynamic, Reason> {
    Ok(match text.as_bytes() {
        [b'n', ..] => Dynamic::Nil,
        [b't' | b'f', ..] => Dynamic::Bool(text == "true"),
        [b'"', ..] => Dynamic::Text(json::parse(text.as_bytes())?),
        [b'[', ..] => {
            let items: Vec<&RawValue> = json::parse(text.as_bytes())?;
            let items = items.into_iter().map(|item| from_json(item.get(), float));
            Dynamic::Array(items.collect::<Result<_, Reason>>()?)
        }
        [b'{', ..] => {
            let pairs = json::pairs(text.as_bytes(), usize::MAX)?.into_iter();
            let pairs =
                pairs.map(|(key, it)| Ok((Dynamic::Text(key.into()), from_json(it, float)?)));
            Dynamic::Map(pairs.collect::<Result<_, Reason>>()?)
        }
        _ if text.contains(['.', 'e', 'E']) => {
            let value = float(text).ok_or("it has a number that is out of range")?;
            Dynamic::Float(value)
        }
        _ => text
            .parse()
            .map(Dynamic::Int)
            .or_else(|_| text.parse().map(Dynamic::UInt))
            .unwrap_or_else(|_| Dynamic::BigInt(text.to_owned())),
    })
}

fn finite(number: &str) -> Option<f64> {
    number.parse().ok().filter(|it| f64::is_finite(*it))
}

/// Serialises a value in a format, or, without one, as JSON for people, which may lose something.
#[derive(Clone, Copy)]
pub(super) struct Written<'a>(pub(super) &'a Dynamic, pub(super) Option<Format>);

impl<'a> Serialize for Written<'a> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(value, format) = *self;
        let written = |it: &'a Dynamic| Written(it, format);
        let refused = |reason: Reason| Err(S::Error::custom(reason));
        match (value, format) {
            (Dynamic::Nil, _) | (Dynamic::Ext(..), None) => to.serialize_unit(),
            (Dynamic::Bool(value), _) => to.serialize_bool(*value),
            (Dynamic::Int(value), _) => to.serialize_i64(*value),
            (Dynamic::UInt(value), _) => to.serialize_u64(*value),
            (Dynamic::Float(value), _) => to.serialize_f64(*value),
            (Dynamic::Text(text), _) | (Dynamic::BigInt(text), None) => to.serialize_str(text),
            (Dynamic::Timestamp(instant), None) => to.collect_str(instant),
            (Dynamic::Timestamp(instant), _) => instant.serialize(to),
            (Dynamic::Array(items), _) => to.collect_seq(items.iter().map(written)),
            (Dynamic::Map(pairs), Some(Format::MessagePack)) => {
                to.collect_map(pairs.iter().map(|(key, it)| (written(key), written(it))))
            }
            (Dynamic::Map(pairs), _) => {
                let pairs = pairs.iter();
                let pairs = pairs.map(|(key, it)| Ok((key_text(key, format)?, written(it))));
                let pairs: Result<Vec<_>, BoxError> = pairs.collect();
                to.collect_map(pairs.map_err(S::Error::custom)?)
            }
            (Dynamic::Bytes(bytes), Some(Format::MessagePack)) => to.serialize_bytes(bytes),
            (Dynamic::Bytes(bytes), _) => to.serialize_str(&STANDARD.encode(bytes)),
            (Dynamic::Ext(code, body), Some(Format::MessagePack)) => {
                let body = Dynamic::Bytes(body.clone());
                to.serialize_newtype_struct(EXTENSION, &(code, Written(&body, format)))
            }
            (Dynamic::Ext(..), _) => refused("it has an extension type, which JSON cannot write"),
            (Dynamic::BigInt(_), Some(Format::MessagePack)) => {
                refused("it has an integer of more than 64 bits, which MessagePack cannot write")
            }
            // JSON itself refuses leading zeros and lone signs.
            (Dynamic::BigInt(digits), Some(Format::Json)) => {
                let is_integer = digits.bytes().all(|it| it == b'-' || it.is_ascii_digit());
                match RawValue::from_string(digits.clone()) {
                    Ok(raw) if is_integer => raw.serialize(to),
                    _ => refused("it has a big integer that does not consist of digits"),
                }
            }
        }
    }
}

/// The longest text for a key that is not text, in JSON for people, in bytes.
const LONGEST_LOSSY_KEY: usize = 1024;

/// A key as text, for JSON: text as it is, and a number as its digits.
pub(super) fn key_text(key: &Dynamic, format: Option<Format>) -> Result<String, BoxError> {
    let mut json = Vec::new();
    match key {
        Dynamic::Text(text) => return Ok(text.clone()),
        _ if format.is_none() => {}
        Dynamic::Float(it) if !it.is_finite() => return Ok(it.to_string().to_lowercase()),
        Dynamic::Nil | Dynamic::Bool(_) | Dynamic::Array(_) | Dynamic::Map(_) => {
            return Err("it has a key that JSON cannot write as text".into());
        }
        _ => {}
    }
    json::write(&mut json, &Written(key, format))?;
    // With each map that is a key of a map, the number of backslashes doubles.
    if format.is_none() && json.len() > LONGEST_LOSSY_KEY {
        return Err("it has a key that is too long for JSON".into());
    }
    let text = json::parse(&json);
    Ok(text.or_else(|_| String::from_utf8(json))?)
}
