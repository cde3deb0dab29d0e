//! [`Value`]: one encoded value of a session.

use std::{any::type_name, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Format, Reason, Written,
    buffer::Buffer,
    dynamic::{self, Decoder, Dynamic},
    json, msgpack,
};
use crate::error::{BoxError, Error, Result};

/// One encoded value of a session. A clone is cheap.
///
/// `Debug` shows its length and format, never its content. Two values are equal if they have the
/// same bytes and the same format.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    pub(super) bytes: Bytes,
    pub(super) format: Format,
}

impl Value {
    /// Encodes `value`.
    ///
    /// Structs and struct variants become maps by field name. A UUID or an address becomes text. In
    /// `MessagePack`, integers take their shortest form, floats have 64 bits, and bytes (such as
    /// those of `serde_bytes`) stay bytes. In JSON, bytes become a list of numbers, and NaN and the
    /// infinities become null; [`Dynamic::Bytes`] becomes base64 text, as in Flask.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if the type cannot be encoded, or if its lists and maps nest more than 64
    /// deep.
    pub fn encode<T: Serialize + ?Sized>(value: &T, format: Format) -> Result<Self> {
        let mut buffer = Buffer::default();
        super::write(&mut buffer, value, format).map_err(Error::encode)?;
        Self::checked(buffer, format).map_err(Error::encode)
    }

    /// Takes bytes that are encoded already. They are not changed.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if it is not exactly one value of `format`, or nests more than 64 deep.
    pub fn from_encoded(bytes: impl Into<Vec<u8>>, format: Format) -> Result<Self> {
        let bytes: Vec<u8> = bytes.into();
        Self::checked(bytes, format).map_err(Error::corrupt)
    }

    /// Refuses bytes that are not exactly one value of `format` within the limits.
    fn checked(bytes: impl AsRef<[u8]> + Into<Bytes>, format: Format) -> Result<Self, Reason> {
        match format {
            Format::MessagePack => msgpack::check(bytes.as_ref())?,
            Format::Json => json::check(bytes.as_ref())?,
        }
        let bytes = bytes.into();
        Ok(Self { bytes, format })
    }

    /// Decodes the value as a `T`.
    ///
    /// A type that expects text gets a timestamp as RFC 3339 text. So the usual date types read
    /// what Flask wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if the value is not a `T`. It says what the type expects, and quotes
    /// nothing of the value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.decode_borrowed()
            .map_or_else(|| self.decode_or_explain(), Ok)
    }

    /// Decodes the value as a `T` that may borrow from it. Timestamps do not become text here.
    pub(crate) fn decode_borrowed<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        match self.format {
            Format::MessagePack => {
                let bytes = rmp_serde::Deserializer::from_read_ref(self.as_bytes());
                T::deserialize(&mut bytes.with_human_readable()).ok()
            }
            Format::Json => serde_json::from_slice(self.as_bytes()).ok(),
        }
    }

    /// Decodes with timestamps as text, and with errors that can be logged.
    fn decode_or_explain<T: DeserializeOwned>(&self) -> Result<T> {
        let decode = || -> Result<T, BoxError> { Ok(T::deserialize(Decoder(self.parse()?))?) };
        decode().map_err(|reason| Error::Decode {
            source: format!("not a {}: {reason}", type_name::<T>()).into(),
        })
    }

    /// Decodes the value, whatever its type.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if a text in it is not UTF-8, or a JSON number is beyond a 64-bit float.
    pub fn to_dynamic(&self) -> Result<Dynamic> {
        self.parse().map_err(|reason| Error::Decode {
            source: reason.into(),
        })
    }

    /// The value as JSON for people. What JSON lacks is lost.
    ///
    /// Bytes become base64, timestamps RFC 3339 text, NaN and the infinities null, other extensions
    /// null, keys text, integers beyond 64 bits text; a damaged value is null.
    pub fn to_json_lossy(&self) -> serde_json::Value {
        let value = self.parse().ok();
        let json = value.and_then(|value| serde_json::to_value(Written(&value, None)).ok());
        json.unwrap_or_default()
    }

    fn parse(&self) -> Result<Dynamic, Reason> {
        dynamic::read(&self.bytes, self.format)
    }

    /// The format that the value is encoded in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The encoded value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, format) = (self.bytes.len(), self.format);
        write!(f, "Value({bytes} bytes of {format})")
    }
}
