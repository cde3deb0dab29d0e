use bytes::Bytes;
use rmp::encode;

use super::{
    Format, MAX_KEYS,
    encoded::Encoded,
    entries::Entries,
    gather::Gather,
    key::{Key, KeyRef},
    malformed::Malformed,
    reader::{Reader, Token},
    unwritable::Unwritable,
};
use crate::error::Result;

const INFALLIBLE: &str = "a Vec takes every write";

/// The longest head of a map or text.
const LONGEST_HEAD: usize = 5;

/// Splits a map into its entries; `None` for nil, which Flask takes for no session.
pub(super) fn split(bytes: &Bytes, configured: Format) -> Result<Option<Entries>, Malformed> {
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
    let mut entries = Gather::new(bytes, Format::MessagePack, len);
    for _ in 0..len {
        let key = split_key(&mut reader)?;
        let start = reader.position();
        reader.skip()?;
        entries.push(key, start..reader.position())?;
    }
    reader.finish()?;
    Ok(Some(entries.finish()))
}

fn split_key(reader: &mut Reader<'_>) -> Result<Key, Malformed> {
    let start = reader.position();
    if let Token::Text(text) = reader.token()? {
        std::str::from_utf8(text).map_err(|_| Malformed::NotUtf8)?;
        let end = reader.position();
        return Ok(Key::Loaded(end - text.len()..end));
    }
    reader.rewind(start);
    reader.skip()?;
    Ok(Key::Other(start..reader.position()))
}

/// Writes a map of `count` entries that take `size` bytes.
pub(super) fn join<'a>(
    entries: impl Iterator<Item = (KeyRef<'a>, Encoded<'a>)>,
    count: usize,
    size: usize,
) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(size + (count + 1) * LONGEST_HEAD);
    let len = u32::try_from(count).expect("the number of keys is bounded");
    encode::write_map_len(&mut out, len).expect(INFALLIBLE);
    for (key, value) in entries {
        if let KeyRef::Text(text) = key {
            let len = u32::try_from(text.len()).map_err(|_| key.unwritable(Unwritable::TooLong))?;
            encode::write_str_len(&mut out, len).expect(INFALLIBLE);
        }
        out.extend_from_slice(key.as_bytes());
        let value = value.in_format(Format::MessagePack);
        out.extend_from_slice(&value.map_err(|fault| key.unwritable(fault))?);
    }
    Ok(out)
}
