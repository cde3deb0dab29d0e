use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Timestamp;

/// The name by which a session's `MessagePack` writer knows a timestamp; to every other one it is text.
pub(crate) const NEWTYPE_NAME: &str = "$session_core::Timestamp";

/// The code of `MessagePack`'s own timestamp extension.
pub(crate) const EXT_CODE: i8 = -1;

/// So many bits hold the seconds where they share eight bytes with the nanoseconds.
const SHARED_BITS: u32 = 34;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = Self {
            nanos: self.nanos / 1000 * 1000,
            ..*self
        };
        serializer.serialize_newtype_struct(NEWTYPE_NAME, &micros.to_string())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    /// Reads text; what decodes a session's values presents the extension so.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Timestamp {
    /// The body of the extension, in the shortest of its three widths: 4, 8 or 12 bytes.
    pub(crate) fn to_ext(self) -> Vec<u8> {
        match u64::try_from(self.seconds) {
            Ok(seconds) if seconds >> SHARED_BITS == 0 => {
                let both = u64::from(self.nanos) << SHARED_BITS | seconds;
                match u32::try_from(both) {
                    Ok(seconds) => seconds.to_be_bytes().to_vec(),
                    Err(_) => both.to_be_bytes().to_vec(),
                }
            }
            _ => [&self.nanos.to_be_bytes()[..], &self.seconds.to_be_bytes()].concat(),
        }
    }

    /// The instant in the body of an extension, of any of the three widths.
    pub(crate) fn from_ext(body: &[u8]) -> Option<Self> {
        let (seconds, nanos) = match body.len() {
            4 => (u32::from_be_bytes(body.try_into().ok()?).into(), 0),
            8 => {
                let both = u64::from_be_bytes(body.try_into().ok()?);
                let seconds = both & ((1 << SHARED_BITS) - 1);
                (seconds.cast_signed(), (both >> SHARED_BITS) as u32)
            }
            _ => {
                let (nanos, seconds) = body.split_first_chunk()?;
                (
                    i64::from_be_bytes(seconds.try_into().ok()?),
                    u32::from_be_bytes(*nanos),
                )
            }
        };
        Self::new(seconds, nanos).ok()
    }
}
