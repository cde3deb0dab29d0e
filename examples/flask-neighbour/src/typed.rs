//! Values from the text and the type that a request names.

use actix_server_sessions::session_core::{Dynamic, Format, Timestamp, Value};

use crate::error::ApiError;

/// The value that `text` writes in the way of `kind`, as Flask-Session would store it.
pub(crate) fn typed(text: &str, kind: &str, format: Format) -> Result<Value, ApiError> {
    let value = match kind {
        "str" => Dynamic::Text(text.to_owned()),
        "int" => int(text)?,
        "float" => Dynamic::Float(text.parse().map_err(|_| ApiError::BadRequest)?),
        "bool" => Dynamic::Bool(matches!(
            text.to_lowercase().as_str(),
            "1" | "true" | "yes" | "on"
        )),
        "none" => Dynamic::Nil,
        "json" => json(text)?,
        "bytes" => Dynamic::Bytes(unhex(text).ok_or(ApiError::BadRequest)?),
        "datetime" => datetime(text, format)?,
        "repeat" => {
            let (unit, times) = text.rsplit_once('*').ok_or(ApiError::BadRequest)?;
            Dynamic::Text(unit.repeat(times.parse().map_err(|_| ApiError::BadRequest)?))
        }
        _ => return Err(ApiError::BadRequest),
    };
    Ok(value.to_value(format)?)
}

/// Of any size, as in Python; what the format cannot hold is refused when it is written.
fn int(text: &str) -> Result<Dynamic, ApiError> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(value) = text.parse() {
        return Ok(Dynamic::Int(value));
    }
    if let Ok(value) = text.parse() {
        return Ok(Dynamic::UInt(value));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::BadRequest);
    }
    Ok(Dynamic::BigInt(text.to_owned()))
}

fn json(text: &str) -> Result<Dynamic, ApiError> {
    let value = Value::from_encoded(text.trim(), Format::Json).map_err(|_| ApiError::BadRequest)?;
    value.to_dynamic().map_err(|_| ApiError::BadRequest)
}

/// An instant, or text where Flask-Session makes text of it: without an offset always, and in JSON.
fn datetime(text: &str, format: Format) -> Result<Dynamic, ApiError> {
    let text = text.replacen(' ', "T", 1);
    if text.parse::<Timestamp>().is_err() {
        let local = format!("{text}Z").parse::<Timestamp>();
        local.map_err(|_| ApiError::BadRequest)?;
        return Ok(Dynamic::Text(text));
    }
    let instant = text.parse().map_err(|_| ApiError::BadRequest)?;
    let is_utc = text.ends_with(['Z', 'z']) || text.ends_with("+00:00");
    Ok(if format == Format::MessagePack || is_utc {
        Dynamic::Timestamp(instant)
    } else {
        Dynamic::Text(text)
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let bytes = digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]));
    bytes.collect::<Result<_, _>>().ok()
}
