//! Flask's tagged JSON: JSON in which an object of one pair, whose key begins with a space, is a
//! value of another type (Flask's `TaggedJSONSerializer`).

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use time::{Date, Month, PrimitiveDateTime, Time};

use crate::{
    payload::{Dynamic, Reason, json_object},
    timestamp::Timestamp,
};

/// Python writes these as no JSON has them. They become numbers that Python writes in no other way.
const NAN: &str = "0E+999";
const INFINITY: &str = "1E+999";

fn float(number: &str) -> Option<f64> {
    if number == NAN {
        return Some(f64::NAN);
    }
    number.parse().ok()
}

const NOT_A_TAG: Reason = "a tagged value in it is not one of Flask's";

/// The pairs of the session's object, in order.
pub(super) fn read(text: &[u8]) -> Result<Vec<(String, Dynamic)>, Reason> {
    let text = as_json(text);
    let pairs = json_object(&text, float)?.into_iter();
    pairs
        .map(|(key, value)| Ok((key, untagged(value)?)))
        .collect()
}

/// The value without tags. Inner values come first, as in Flask.
fn untagged(value: Dynamic) -> Result<Dynamic, Reason> {
    Ok(match value {
        Dynamic::Array(items) => {
            let items = items.into_iter().map(untagged);
            Dynamic::Array(items.collect::<Result<_, Reason>>()?)
        }
        Dynamic::Map(pairs) => {
            let pairs = pairs.into_iter();
            let pairs = pairs.map(|(key, value)| Ok((key, untagged(value)?)));
            let mut pairs = pairs.collect::<Result<Vec<_>, Reason>>()?;
            match &pairs[..] {
                [(Dynamic::Text(tag), _)] if TAGS.contains(&&**tag) => {
                    let tag = tag.clone();
                    let (_, value) = pairs.remove(0);
                    of_tag(&tag, value)?
                }
                _ => Dynamic::Map(pairs),
            }
        }
        // MessagePack has no such integers.
        Dynamic::BigInt(digits) => Dynamic::Text(digits),
        other => other,
    })
}

const TAGS: [&str; 6] = [" di", " t", " b", " m", " u", " d"];

fn of_tag(tag: &str, value: Dynamic) -> Result<Dynamic, Reason> {
    let read = match (tag, value) {
        // A user's own object of one pair, whose key looks like a tag.
        (" di", Dynamic::Map(mut pairs)) if pairs.len() == 1 => {
            let (key, value) = pairs.remove(0);
            let Dynamic::Text(key) = key else {
                return Err(NOT_A_TAG);
            };
            key.strip_suffix("__")
                .map(|key| Dynamic::Map(vec![(Dynamic::Text(key.into()), value)]))
        }
        (" t", items @ Dynamic::Array(_)) => Some(items),
        (" b", Dynamic::Text(text)) => STANDARD.decode(text).ok().map(Dynamic::Bytes),
        (" m", text @ Dynamic::Text(_)) => Some(text),
        (" u", Dynamic::Text(digits)) => hyphenated(&digits).map(Dynamic::Text),
        (" d", Dynamic::Text(date)) => instant(&date).map(Dynamic::Timestamp),
        _ => None,
    };
    read.ok_or(NOT_A_TAG)
}

/// The UUID of 32 hexadecimal digits as its usual text.
fn hyphenated(digits: &str) -> Option<String> {
    let is_one = digits.len() == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit());
    is_one.then(|| {
        let [a, b, c, d] = [
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
        ];
        format!("{a}-{b}-{c}-{d}-{}", &digits[20..])
    })
}

/// The instant of an HTTP date such as `Thu, 29 Feb 2024 12:34:56 GMT`, of any year.
fn instant(date: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let words: Vec<&str> = date.split_ascii_whitespace().collect();
    let [_weekday, day, month, year, time, "GMT"] = words[..] else {
        return None;
    };
    let month = MONTHS.iter().zip(1_u8..).find(|(it, _)| **it == month)?.1;
    let month = Month::try_from(month).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    let mut parts = time.split(':').map(|part| part.parse().ok());
    let [hour, minute, second] = [parts.next()??, parts.next()??, parts.next()??];
    let time = Time::from_hms(hour, minute, second).ok()?;
    let instant = PrimitiveDateTime::new(date, time).assume_utc();
    Timestamp::try_from(instant).ok()
}

/// The length of an escape such as `\ud83d`.
const ESCAPE: usize = 6;

/// Half of a character beyond 16 bits, which Python's texts may have alone. `read` is what stands
/// before.
fn is_lone_surrogate(rest: &[u8], read: &[u8]) -> bool {
    let unit = |text: &[u8]| {
        let digits = text.strip_prefix(b"\\u")?.get(..4)?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let before = read.len().checked_sub(ESCAPE).map(|start| &read[start..]);
    match unit(rest) {
        Some(0xd800..=0xdbff) => {
            !matches!(rest.get(ESCAPE..).and_then(unit), Some(0xdc00..=0xdfff))
        }
        Some(0xdc00..=0xdfff) => !matches!(before.and_then(unit), Some(0xd800..=0xdbff)),
        _ => false,
    }
}

/// Replaces what Python writes and JSON has not: `NaN` and `Infinity`, and halves of characters.
fn as_json(text: &[u8]) -> Cow<'_, [u8]> {
    let has = |word: &[u8]| text.windows(word.len()).any(|it| it == word);
    if !has(b"NaN") && !has(b"Infinity") && !has(b"\\ud") {
        return text.into();
    }
    let mut read = Vec::with_capacity(text.len());
    let (mut rest, mut in_text) = (text, false);
    while let [byte, after @ ..] = rest {
        let number = match (in_text, rest) {
            (false, [b'N', b'a', b'N', after @ ..]) => Some((NAN, after)),
            (false, [b'I', b'n', b'f', b'i', b'n', b'i', b't', b'y', after @ ..]) => {
                Some((INFINITY, after))
            }
            _ => None,
        };
        if let Some((number, after)) = number {
            read.extend(number.as_bytes());
            rest = after;
        } else if in_text && is_lone_surrogate(rest, &read) {
            read.extend("\u{fffd}".as_bytes());
            rest = &rest[ESCAPE..];
        } else if in_text && *byte == b'\\' {
            read.extend(&rest[..rest.len().min(2)]);
            rest = after.get(1..).unwrap_or_default();
        } else {
            in_text ^= *byte == b'"';
            read.push(*byte);
            rest = after;
        }
    }
    read.into()
}
