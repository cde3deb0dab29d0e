use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

use super::{EXT_CODE, Timestamp, TimestampError};

/// The name by which a session's `MessagePack` writer knows a timestamp; to every other one it is text.
pub(crate) const NEWTYPE_NAME: &str = "$session_core::Timestamp";

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(NEWTYPE_NAME, &self.to_string())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimestampVisitor)
    }
}

struct TimestampVisitor;

impl<'de> Visitor<'de> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a timestamp, or an instant in RFC 3339")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }

    /// `rmp_serde` presents an extension as a pair of its code and bytes inside a newtype.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, pair: D) -> Result<Timestamp, D::Error> {
        pair.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Timestamp, A::Error> {
        let code: Option<i8> = pair.next_element()?;
        if code != Some(EXT_CODE) {
            return Err(de::Error::custom(TimestampError));
        }
        let bytes: Option<ExtBytes> = pair.next_element()?;
        bytes
            .and_then(|ExtBytes(instant)| instant)
            .ok_or_else(|| de::Error::custom(TimestampError))
    }
}

/// The bytes of the extension, read as an instant.
struct ExtBytes(Option<Timestamp>);

impl<'de> Deserialize<'de> for ExtBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;

        impl Visitor<'_> for BytesVisitor {
            type Value = ExtBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a timestamp")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<ExtBytes, E> {
                Ok(ExtBytes(Timestamp::from_ext(bytes)))
            }
        }

        deserializer.deserialize_bytes(BytesVisitor)
    }
}
