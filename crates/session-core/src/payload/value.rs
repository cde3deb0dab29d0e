use std::{any::type_name, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Format, Reason, Written,
    dynamic::{self, Decoder, Dynamic},
    json, msgpack,
};
use crate::error::{BoxError, Error, Result};

/// Most values take fewer bytes, and so need not move while they are written.
const USUAL_LEN: usize = 64;

/// One encoded value of a session; cheap to clone.
///
/// `Debug` shows its length and format, never what it holds.
/// Two are equal if they are the same bytes of the same format.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    pub(super) bytes: Bytes,
    pub(super) format: Format,
}

impl Value {
    /// Encodes `value`.
    ///
    /// Structs and struct variants become maps by field name, and what has a text, such as a UUID or an address, is
    /// that text. In `MessagePack`, integers take their shortest form, floats 64 bits, and bytes (such as those of
    /// `serde_bytes`) stay bytes. In JSON, bytes become a list of numbers, and NaN and the infinities null;
    /// [`Dynamic::Bytes`] becomes the base64 text that Flask writes.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if the type refuses to be encoded, or if it nests lists and maps more than 64 deep.
    pub fn encode<T: Serialize + ?Sized>(value: &T, format: Format) -> Result<Self> {
        let mut bytes = Vec::with_capacity(USUAL_LEN);
        super::write(&mut bytes, value, format).map_err(Error::encode)?;
        Self::checked(bytes, format).map_err(Error::encode)
    }

    /// Takes a value that is encoded already, byte for byte.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if it is not exactly one value of `format`, or nests more than 64 deep.
    pub fn from_encoded(bytes: impl Into<Vec<u8>>, format: Format) -> Result<Self> {
        Self::checked(bytes.into(), format).map_err(Error::corrupt)
    }

    /// Refuses what is not exactly one value of `format`, within the bounds.
    fn checked(bytes: Vec<u8>, format: Format) -> Result<Self, Reason> {
        match format {
            Format::MessagePack => msgpack::check(&bytes)?,
            Format::Json => json::check(&bytes)?,
        }
        let bytes = bytes.into();
        Ok(Self { bytes, format })
    }

    /// Decodes the value as a `T`.
    ///
    /// A timestamp is also given to types that ask for text, as RFC 3339, so that the usual date types read what
    /// Flask wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if the value is not a `T`. It tells what the type misses, but quotes nothing of the value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.decode_borrowed()
            .map_or_else(|| self.decode_or_explain(), Ok)
    }

    /// Decodes the value as a `T` that may borrow from it; timestamps are no text here.
    pub(crate) fn decode_borrowed<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        match self.format {
            Format::MessagePack => {
                let bytes = rmp_serde::Deserializer::from_read_ref(self.as_bytes());
                T::deserialize(&mut bytes.with_human_readable()).ok()
            }
            Format::Json => serde_json::from_slice(self.as_bytes()).ok(),
        }
    }

    /// Decodes once more, with timestamps as text and errors that can be logged.
    fn decode_or_explain<T: DeserializeOwned>(&self) -> Result<T> {
        let decode = || -> Result<T, BoxError> { Ok(T::deserialize(Decoder(self.parse()?))?) };
        decode().map_err(|reason| Error::Decode {
            source: format!("not a {}: {reason}", type_name::<T>()).into(),
        })
    }

    /// Takes the value apart, whatever it holds.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if a text in it is not UTF-8, or a JSON number is beyond a 64-bit float.
    pub fn to_dynamic(&self) -> Result<Dynamic> {
        self.parse().map_err(|reason| Error::Decode {
            source: reason.into(),
        })
    }

    /// The value as JSON, to look at; what JSON lacks is lost.
    ///
    /// Bytes become base64, timestamps RFC 3339 text, NaN and the infinities null, other extensions null, keys text,
    /// integers beyond 64 bits text; a damaged value is null.
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
