use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::Dynamic;

/// Depth is bounded: the value was read from a payload.
pub(super) fn to_json(value: &Dynamic) -> Value {
    match value {
        Dynamic::Nil | Dynamic::Ext(..) => Value::Null,
        Dynamic::Bool(value) => (*value).into(),
        Dynamic::Int(value) => (*value).into(),
        Dynamic::UInt(value) => (*value).into(),
        Dynamic::BigInt(digits) => digits.as_str().into(),
        Dynamic::Float(value) => (*value).into(),
        Dynamic::Text(text) => text.as_str().into(),
        Dynamic::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Dynamic::Timestamp(instant) => instant.to_string().into(),
        Dynamic::Array(items) => items.iter().map(to_json).collect(),
        Dynamic::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| (key_text(key), to_json(value)))
            .collect(),
    }
}

fn key_text(key: &Dynamic) -> String {
    match to_json(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
