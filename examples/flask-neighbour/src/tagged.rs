//! Values as JSON, with tags for the types that JSON lacks.

use std::fmt::Write as _;

use actix_server_sessions::session_core::{Dynamic, Timestamp};
use serde_json::{Value, json};

const EXACT: u64 = 1 << 53;

/// The value as JSON, with a tag where JSON is too poor.
pub(crate) fn tagged(value: &Dynamic) -> Value {
    match value {
        Dynamic::Nil => Value::Null,
        Dynamic::Bool(value) => json!(value),
        Dynamic::Int(value) if value.unsigned_abs() < EXACT => json!(value),
        Dynamic::Int(value) => json!({ "$int": value.to_string() }),
        Dynamic::UInt(value) => json!({ "$int": value.to_string() }),
        Dynamic::BigInt(digits) => json!({ "$int": digits }),
        Dynamic::Float(value) if value.is_finite() && value.fract() != 0.0 => json!(value),
        Dynamic::Float(value) => json!({ "$float": python(*value) }),
        Dynamic::Text(text) => json!(text),
        Dynamic::Bytes(bytes) => json!({ "$bytes": hex(bytes) }),
        Dynamic::Timestamp(instant) => json!({ "$datetime": isoformat(*instant) }),
        Dynamic::Array(items) => items.iter().map(tagged).collect(),
        Dynamic::Map(pairs) => map(pairs),
        Dynamic::Ext(code, bytes) => json!({ "$ext": [code, hex(bytes)] }),
    }
}

fn map(pairs: &[(Dynamic, Dynamic)]) -> Value {
    let by_text: Option<_> = pairs
        .iter()
        .map(|(key, value)| match key {
            Dynamic::Text(key) => Some((key.clone(), tagged(value))),
            _ => None,
        })
        .collect();
    by_text.map_or_else(
        || {
            let pairs = pairs
                .iter()
                .map(|(key, value)| [tagged(key), tagged(value)]);
            json!({ "$pairs": pairs.collect::<Vec<_>>() })
        },
        Value::Object,
    )
}

/// A whole or non-finite float as Python's `repr` has it: `1e+16`, where Rust has `1e16`.
fn python(value: f64) -> String {
    if value.is_finite() {
        format!("{value:?}").replace('e', "e+")
    } else {
        value.to_string().to_lowercase()
    }
}

/// As Python's `isoformat`, which knows no finer unit than a microsecond.
fn isoformat(instant: Timestamp) -> String {
    let micros = instant.nanos() / 1000 * 1000;
    let instant = Timestamp::new(instant.seconds(), micros).unwrap_or(instant);
    instant.to_string().replace('Z', "+00:00")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_would_blur_is_tagged() {
        let instant: Timestamp = "2024-02-29T12:34:56.123456Z".parse().unwrap();
        for (value, shown) in [
            (
                Dynamic::Int(9_007_199_254_740_991),
                json!(9_007_199_254_740_991_i64),
            ),
            (
                Dynamic::Int(9_007_199_254_740_992),
                json!({ "$int": "9007199254740992" }),
            ),
            (
                Dynamic::Int(i64::MIN),
                json!({ "$int": "-9223372036854775808" }),
            ),
            (
                Dynamic::UInt(u64::MAX),
                json!({ "$int": "18446744073709551615" }),
            ),
            (Dynamic::Float(0.5), json!(0.5)),
            (Dynamic::Float(0.0), json!({ "$float": "0.0" })),
            (Dynamic::Float(-0.0), json!({ "$float": "-0.0" })),
            (Dynamic::Float(1e16), json!({ "$float": "1e+16" })),
            (
                Dynamic::Float(1e15),
                json!({ "$float": "1000000000000000.0" }),
            ),
            (Dynamic::Float(f64::NAN), json!({ "$float": "nan" })),
            (
                Dynamic::Float(f64::NEG_INFINITY),
                json!({ "$float": "-inf" }),
            ),
            (Dynamic::Bytes(vec![0, 255]), json!({ "$bytes": "00ff" })),
            (
                Dynamic::Timestamp(instant),
                json!({ "$datetime": "2024-02-29T12:34:56.123456+00:00" }),
            ),
            (
                Dynamic::Map(vec![(Dynamic::Int(1), Dynamic::Nil)]),
                json!({ "$pairs": [[1, null]] }),
            ),
            (
                Dynamic::Map(vec![(Dynamic::Text("a".into()), Dynamic::Bool(true))]),
                json!({ "a": true }),
            ),
        ] {
            assert_eq!(tagged(&value), shown, "{value:?}");
        }
    }
}
