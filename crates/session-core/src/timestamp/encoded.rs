//! How a `Timestamp` is encoded in MessagePack and JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Timestamp;

/// The name by which a session's `MessagePack` writer recognizes a timestamp. For every other
/// serializer it is text.
pub(crate) const NEWTYPE_NAME: &str = "$session_core::Timestamp";

/// The code of `MessagePack`'s own timestamp extension.
pub(crate) const EXT_CODE: i8 = -1;

/// The bits of the seconds in the form where seconds and nanoseconds share eight bytes.
const SHARED_BITS: u32 = 34;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = Self::of(self.seconds, self.nanos / 1000 * 1000);
        serializer.serialize_newtype_struct(NEWTYPE_NAME, &micros.to_string())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    /// Reads text. The decoder of a session's values presents the extension as text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Timestamp {
    /// The body of the extension, in the shortest of its three widths: 4, 8 or 12 bytes.
    pub(crate) fn to_ext(self) -> Vec<u8> {
        let (seconds, nanos) = (self.seconds.to_be_bytes(), self.nanos.to_be_bytes());
        if self.seconds >> SHARED_BITS != 0 {
            return [&nanos[..], &seconds].concat();
        }
        let both = u64::from(self.nanos) << SHARED_BITS | self.seconds.unsigned_abs();
        u32::try_from(both).map_or_else(|_| both.to_be_bytes().into(), |it| it.to_be_bytes().into())
    }

    /// The instant in the body of an extension, of any of the three widths.
    pub(crate) fn from_ext(body: &[u8]) -> Option<Self> {
        let digits = |bytes: &[u8]| bytes.iter().fold(0, |all, it| all << 8 | u64::from(*it));
        let (nanos, seconds) = match (body.len(), digits(body)) {
            (4, seconds) => (0, seconds),
            (8, both) => (both >> SHARED_BITS, both & ((1 << SHARED_BITS) - 1)),
            (12, _) => (digits(&body[..4]), digits(&body[4..])),
            _ => return None,
        };
        Self::new(seconds.cast_signed(), nanos.try_into().ok()?).ok()
    }
}
