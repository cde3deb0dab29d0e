//! Splits, checks and writes payloads in `MessagePack`.

mod in_place;
mod writer;

use std::borrow::Cow;

use bytes::Bytes;
use rmp::{decode, encode};

use super::{
    Format, MAX_DEPTH, MAX_KEYS, Payload, Reason, TOO_MANY_KEYS,
    entries::{Entries, NOT_TEXT},
};
use crate::error::BoxError;

pub(super) use in_place::InPlace;
pub(super) use writer::write;

const MALFORMED: Reason =
    "it is not exactly one value, or its lists and maps nest more than 64 deep";

/// Splits a map into its entries. `None` for nil, which Flask reads as no session.
pub(super) fn split(bytes: &Bytes) -> Result<Option<Payload>, Reason> {
    if bytes[..] == [0xc0] {
        return Ok(None);
    }
    let mut rest = Unread(bytes);
    let len = decode::read_map_len(&mut rest.0).map_err(|_| "it is not a map")?;
    let len = usize::try_from(len).map_err(|_| TOO_MANY_KEYS)?;
    if len > MAX_KEYS {
        return Err(TOO_MANY_KEYS);
    }
    if let Some(in_place) = InPlace::of(bytes.slice_ref(rest.0), len)? {
        return Ok(Some(in_place.into()));
    }
    let mut entries = Entries::of(bytes.clone(), len);
    for _ in 0..len {
        let key = rest.key().ok_or(MALFORMED)?;
        let value = rest.skip().ok_or(MALFORMED)?;
        entries.load(&key, value, Format::MessagePack);
    }
    let all = || Some(entries.into());
    rest.0.is_empty().then(all).ok_or(MALFORMED)
}

/// Refuses bytes that are not exactly one value.
pub(super) fn check(bytes: &[u8]) -> Result<(), Reason> {
    let value = Unread(bytes).skip();
    let is_all = value.is_some_and(|value| value.len() == bytes.len());
    is_all.then_some(()).ok_or(MALFORMED)
}

pub(super) fn write_head(out: &mut Vec<u8>, count: usize) -> Result<(), BoxError> {
    encode::write_map_len(out, count.try_into()?)?;
    Ok(())
}

pub(super) fn write_key(out: &mut Vec<u8>, key: &[u8]) -> Result<(), BoxError> {
    if let [NOT_TEXT, key @ ..] = key {
        out.extend_from_slice(key);
        return Ok(());
    }
    // Most texts are short. The general function takes many times as long.
    match u8::try_from(key.len()) {
        Ok(len @ 0..32) => out.push(0xa0 | len),
        _ => drop(encode::write_str_len(out, key.len().try_into()?)?),
    }
    out.extend_from_slice(key);
    Ok(())
}

/// What follows the head of a value: so many bytes, or so many values.
enum Head {
    Bytes(usize),
    Values(usize),
}

/// The rest of `MessagePack` bytes that are being split. Every length is checked against it.
#[derive(Clone)]
struct Unread<'a>(&'a [u8]);

impl<'a> Unread<'a> {
    /// Skips a key and returns it.
    fn key(&mut self) -> Option<Cow<'a, [u8]>> {
        let (0xa0..=0xbf | 0xd9..=0xdb) = self.0.first()? else {
            return Some([&[NOT_TEXT], self.skip()?].concat().into());
        };
        let (Head::Bytes(len) | Head::Values(len)) = self.head()?;
        let text = self.0.split_off(..len)?;
        let is_text = text.is_ascii() || std::str::from_utf8(text).is_ok();
        is_text.then_some(text.into())
    }

    /// Skips a value and returns it. Its lists and maps may nest [`MAX_DEPTH`] deep.
    fn skip(&mut self) -> Option<&'a [u8]> {
        let start = self.0;
        self.skip_all(1, MAX_DEPTH)?;
        start.get(..start.len() - self.0.len())
    }

    fn skip_all(&mut self, values: usize, depth: usize) -> Option<()> {
        for _ in 0..values {
            match self.head()? {
                Head::Bytes(len) => self.0 = self.0.get(len..)?,
                Head::Values(inner) => self.skip_all(inner, depth.checked_sub(1)?)?,
            }
        }
        Some(())
    }

    #[expect(
        clippy::inline_always,
        reason = "every value of every request's session passes here"
    )]
    #[inline(always)]
    fn head(&mut self) -> Option<Head> {
        let marker = *self.0.split_off_first()?;
        Some(match marker {
            // Small integers, nil and booleans; then short texts, lists and maps.
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Head::Bytes(0),
            0xa0..=0xbf => Head::Bytes(usize::from(marker & 0x1f)),
            0x90..=0x9f => Head::Values(usize::from(marker & 0x0f)),
            0x80..=0x8f => Head::Values(usize::from(marker & 0x0f) * 2),
            // Numbers. The last two bits say whether they have 1, 2, 4 or 8 bytes.
            0xca..=0xd3 => Head::Bytes(1 << (marker & 3)),
            // Bytes and texts.
            0xc4 | 0xd9 => Head::Bytes(self.len(1)?),
            0xc5 | 0xda => Head::Bytes(self.len(2)?),
            0xc6 | 0xdb => Head::Bytes(self.len(4)?),
            // Extensions, with a code before their bytes.
            0xd4..=0xd8 => Head::Bytes((1 << (marker - 0xd4)) + 1),
            0xc7 => Head::Bytes(self.len(1)? + 1),
            0xc8 => Head::Bytes(self.len(2)? + 1),
            0xc9 => Head::Bytes(self.len(4)?.checked_add(1)?),
            // Lists and maps.
            0xdc => Head::Values(self.len(2)?),
            0xdd => Head::Values(self.len(4)?),
            0xde => Head::Values(self.len(2)? * 2),
            0xdf => Head::Values(self.len(4)?.checked_mul(2)?),
            // Reserved.
            0xc1 => return None,
        })
    }

    /// A length that is written in so many `bytes`.
    fn len(&mut self, bytes: usize) -> Option<usize> {
        let digits = self.0.split_off(..bytes)?.iter();
        Some(digits.fold(0, |len, digit| len << 8 | usize::from(*digit)))
    }
}
