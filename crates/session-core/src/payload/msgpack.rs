use bytes::Bytes;
use rmp::encode;

use super::{
    Format, MAX_KEYS, Value,
    entries::{Entry, Gather, Key},
    malformed::Malformed,
    reader::{Reader, Token},
    unwritable::Unwritable,
};
use crate::error::Result;

const INFALLIBLE: &str = "a Vec takes every write";

/// Splits a map into its entries; `None` for nil, which Flask takes for no session.
pub(super) fn split(bytes: &Bytes, configured: Format) -> Result<Option<Vec<Entry>>, Malformed> {
    let mut reader = Reader::new(bytes);
    let len = match reader.token()? {
        Token::Map(len) => len,
        Token::Nil => return reader.finish().map(|()| None),
        _ => {
            return Err(Malformed::NotAMap {
                expected: configured,
            });
        }
    };
    if len > MAX_KEYS {
        return Err(Malformed::TooManyKeys);
    }
    let mut entries = Gather::with_capacity(len);
    for _ in 0..len {
        let start = reader.position();
        let key = if let Token::Text(text) = reader.token()? {
            std::str::from_utf8(text).map_err(|_| Malformed::NotUtf8)?;
            Key::Text(bytes.slice_ref(text))
        } else {
            reader = Reader::at(bytes, start);
            reader.skip()?;
            Key::Other(bytes.slice(start..reader.position()))
        };
        let start = reader.position();
        reader.skip()?;
        let value = bytes.slice(start..reader.position());
        entries.push(key, Value::checked(value, Format::MessagePack))?;
    }
    reader.finish()?;
    Ok(Some(entries.finish()))
}

/// Writes a map of the entries.
pub(super) fn join(entries: &[Entry]) -> Result<Vec<u8>> {
    // The longest heads: of the map, and of each key.
    let size = 5 + entries.iter().map(|entry| entry.len() + 5).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    let len = u32::try_from(entries.len()).expect("the number of keys is bounded");
    encode::write_map_len(&mut out, len).expect(INFALLIBLE);
    for entry in entries {
        match &entry.key {
            Key::Text(key) => {
                let len =
                    u32::try_from(key.len()).map_err(|_| entry.unwritable(Unwritable::TooLong))?;
                encode::write_str_len(&mut out, len).expect(INFALLIBLE);
                out.extend_from_slice(key);
            }
            Key::Other(key) => out.extend_from_slice(key),
        }
        let value = entry.value.encoded_as(Format::MessagePack);
        out.extend_from_slice(&value.map_err(|fault| entry.unwritable(fault))?);
    }
    Ok(out)
}
