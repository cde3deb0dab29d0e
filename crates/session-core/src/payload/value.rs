use std::{any::type_name, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Format,
    dynamic::{self, Dynamic},
    encoded::Encoded,
    json, json_writer, msgpack_writer,
    reader::Reader,
};
use crate::error::{Error, Result};

/// Most values take fewer bytes, and so need not move while they are written.
const MOST: usize = 64;

/// One encoded value of a session; cheap to clone.
///
/// `Debug` shows its length and format, never what it holds.
#[derive(Clone)]
pub struct Value {
    bytes: Bytes,
    format: Format,
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
        let mut bytes = Vec::with_capacity(MOST);
        match format {
            Format::MessagePack => msgpack_writer::write(&mut bytes, value).map_err(Error::encode),
            Format::Json => json_writer::write(&mut bytes, value).map_err(Error::encode),
        }?;
        Self::from_encoded(bytes, format).map_err(|fault| match fault {
            Error::Corrupt { source } => Error::Encode { source },
            other => other,
        })
    }

    /// Takes a value that is encoded already, byte for byte.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if it is not exactly one value of `format`, or nests more than 64 deep.
    pub fn from_encoded(bytes: impl Into<Vec<u8>>, format: Format) -> Result<Self> {
        let value = Self::checked(bytes.into().into(), format);
        match format {
            Format::MessagePack => {
                let mut reader = Reader::new(value.as_bytes());
                reader.skip().and_then(|()| reader.finish())
            }
            Format::Json => json::check_value(value.as_bytes()),
        }
        .map_err(Error::corrupt)?;
        Ok(value)
    }

    /// Takes bytes that are known to be one whole value.
    pub(super) fn checked(bytes: Bytes, format: Format) -> Self {
        Self { bytes, format }
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
        let fault = match self.as_encoded().take_apart() {
            Ok(value) => match dynamic::decode(value) {
                Ok(decoded) => return Ok(decoded),
                Err(mismatch) => mismatch.to_string(),
            },
            Err(malformed) => malformed.to_string(),
        };
        Err(Error::Decode {
            source: format!("not a {}: {fault}", type_name::<T>()).into(),
        })
    }

    /// Takes the value apart, whatever it holds.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if a text in it is not UTF-8, or a JSON number is beyond a 64-bit float.
    pub fn to_dynamic(&self) -> Result<Dynamic> {
        self.as_encoded()
            .take_apart()
            .map_err(|fault| Error::Decode {
                source: fault.into(),
            })
    }

    /// The value as JSON, to look at; what JSON lacks is lost.
    ///
    /// Bytes become base64, timestamps RFC 3339 text, NaN and the infinities null, other extensions null, keys text,
    /// integers beyond 64 bits text; a damaged value is null.
    pub fn to_json_lossy(&self) -> serde_json::Value {
        self.as_encoded()
            .take_apart()
            .map_or(serde_json::Value::Null, |value| value.to_json_lossy())
    }

    /// The format that the value is encoded in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The encoded value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn as_encoded(&self) -> Encoded<'_> {
        Encoded::new(&self.bytes, self.format)
    }
}

impl PartialEq for Value {
    /// Whether both are the same bytes of the same format.
    fn eq(&self, other: &Self) -> bool {
        self.format == other.format && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Value({} bytes of {})",
            self.as_bytes().len(),
            self.format
        )
    }
}
