use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::Dynamic;
use crate::payload::{MAX_DEPTH, json_writer, unwritable::Unwritable};

pub(super) fn write(out: &mut Vec<u8>, value: &Dynamic) -> Result<(), Unwritable> {
    write_within(out, value, MAX_DEPTH)
}

/// Writes what stands for a key: text as it is, and a number as text.
pub(in crate::payload) fn write_key(out: &mut Vec<u8>, key: &Dynamic) -> Result<(), Unwritable> {
    match key {
        Dynamic::Text(_) | Dynamic::Bytes(_) | Dynamic::Timestamp(_) => write_within(out, key, 0),
        Dynamic::Float(value) if !value.is_finite() => {
            write_plain(out, &value.to_string().to_lowercase());
            Ok(())
        }
        Dynamic::Int(_) | Dynamic::UInt(_) | Dynamic::BigInt(_) | Dynamic::Float(_) => {
            out.push(b'"');
            write_within(out, key, 0)?;
            out.push(b'"');
            Ok(())
        }
        _ => Err(Unwritable::Key),
    }
}

fn write_within(out: &mut Vec<u8>, value: &Dynamic, depth: usize) -> Result<(), Unwritable> {
    let deeper = || depth.checked_sub(1).ok_or(Unwritable::TooDeep);
    match value {
        Dynamic::Nil => write_plain(out, &()),
        Dynamic::Bool(value) => write_plain(out, value),
        Dynamic::Int(value) => write_plain(out, value),
        Dynamic::UInt(value) => write_plain(out, value),
        Dynamic::BigInt(digits) if is_integer(digits) => out.extend_from_slice(digits.as_bytes()),
        Dynamic::BigInt(_) => return Err(Unwritable::Digits),
        Dynamic::Float(value) => write_plain(out, value),
        Dynamic::Text(text) => write_plain(out, text),
        Dynamic::Bytes(bytes) => write_plain(out, &STANDARD.encode(bytes)),
        Dynamic::Timestamp(instant) => write_plain(out, &instant.to_string()),
        Dynamic::Array(items) => {
            let depth = deeper()?;
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_within(out, item, depth)?;
            }
            out.push(b']');
        }
        Dynamic::Map(pairs) => {
            let depth = deeper()?;
            out.push(b'{');
            for (place, (key, value)) in pairs.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_key(out, key)?;
                out.push(b':');
                write_within(out, value, depth)?;
            }
            out.push(b'}');
        }
        Dynamic::Ext(code, _) => return Err(Unwritable::Extension(*code)),
    }
    Ok(())
}

fn write_plain<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    json_writer::write(out, value).expect("a Vec takes every write, and JSON every such value");
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    match digits {
        [b'0', _, ..] | [] => false,
        _ => digits.iter().all(u8::is_ascii_digit),
    }
}
