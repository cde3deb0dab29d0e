use rmp::encode;

use super::Dynamic;
use crate::{
    payload::{MAX_DEPTH, unwritable::Unwritable},
    timestamp,
};

const INFALLIBLE: &str = "a Vec takes every write";

pub(super) fn write(out: &mut Vec<u8>, value: &Dynamic) -> Result<(), Unwritable> {
    write_within(out, value, MAX_DEPTH)
}

fn write_within(out: &mut Vec<u8>, value: &Dynamic, depth: usize) -> Result<(), Unwritable> {
    let deeper = || depth.checked_sub(1).ok_or(Unwritable::TooDeep);
    match value {
        Dynamic::Nil => encode::write_nil(out).expect(INFALLIBLE),
        Dynamic::Bool(value) => encode::write_bool(out, *value).expect(INFALLIBLE),
        Dynamic::Int(value) => {
            encode::write_sint(out, *value).expect(INFALLIBLE);
        }
        Dynamic::UInt(value) => {
            encode::write_uint(out, *value).expect(INFALLIBLE);
        }
        Dynamic::BigInt(_) => return Err(Unwritable::Integer),
        Dynamic::Float(value) => encode::write_f64(out, *value).expect(INFALLIBLE),
        Dynamic::Text(text) => {
            length(text.len())?;
            encode::write_str(out, text).expect(INFALLIBLE);
        }
        Dynamic::Bytes(bytes) => {
            length(bytes.len())?;
            encode::write_bin(out, bytes).expect(INFALLIBLE);
        }
        Dynamic::Timestamp(instant) => write_ext(out, timestamp::EXT_CODE, &instant.to_ext())?,
        Dynamic::Array(items) => {
            let depth = deeper()?;
            encode::write_array_len(out, length(items.len())?).expect(INFALLIBLE);
            for item in items {
                write_within(out, item, depth)?;
            }
        }
        Dynamic::Map(pairs) => {
            let depth = deeper()?;
            encode::write_map_len(out, length(pairs.len())?).expect(INFALLIBLE);
            for (key, value) in pairs {
                write_within(out, key, depth)?;
                write_within(out, value, depth)?;
            }
        }
        Dynamic::Ext(code, bytes) => write_ext(out, *code, bytes)?,
    }
    Ok(())
}

fn write_ext(out: &mut Vec<u8>, code: i8, bytes: &[u8]) -> Result<(), Unwritable> {
    encode::write_ext_meta(out, length(bytes.len())?, code).expect(INFALLIBLE);
    out.extend_from_slice(bytes);
    Ok(())
}

fn length(len: usize) -> Result<u32, Unwritable> {
    u32::try_from(len).map_err(|_| Unwritable::TooLong)
}
