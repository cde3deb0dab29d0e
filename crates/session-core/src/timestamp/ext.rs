use serde::{Serialize, Serializer, ser::SerializeTuple};

use super::Timestamp;

/// The code of `MessagePack`'s own timestamp extension.
pub(crate) const EXT_CODE: i8 = -1;

/// From this second on, 34 bits no longer hold it.
const SECONDS_OF_64_BITS: i64 = 1 << 34;

impl Timestamp {
    /// The body of the extension, in the shortest of its three widths: 4, 8 or 12 bytes.
    pub(crate) fn to_ext(self) -> Vec<u8> {
        match (u32::try_from(self.seconds), u64::try_from(self.seconds)) {
            (Ok(seconds), _) if self.nanos == 0 => seconds.to_be_bytes().to_vec(),
            (_, Ok(seconds)) if self.seconds < SECONDS_OF_64_BITS => {
                let both = u64::from(self.nanos) << 34 | seconds;
                both.to_be_bytes().to_vec()
            }
            _ => [
                &self.nanos.to_be_bytes()[..],
                &self.seconds.to_be_bytes()[..],
            ]
            .concat(),
        }
    }

    /// The instant in the body of an extension, of any of the three widths.
    pub(crate) fn from_ext(body: &[u8]) -> Option<Self> {
        if let Ok(seconds) = body.try_into().map(u32::from_be_bytes) {
            return Self::new(seconds.into(), 0).ok();
        }
        if let Ok(both) = body.try_into().map(u64::from_be_bytes) {
            let seconds = both & (SECONDS_OF_64_BITS.unsigned_abs() - 1);
            return Self::new(seconds.try_into().ok()?, (both >> 34).try_into().ok()?).ok();
        }
        let (nanos, seconds) = body.split_first_chunk()?;
        let seconds = seconds.try_into().map(i64::from_be_bytes).ok()?;
        Self::new(seconds, u32::from_be_bytes(*nanos)).ok()
    }
}

/// A timestamp as the pair of code and body by which `rmp_serde` takes an extension.
pub(crate) struct ExtPair(pub(crate) Timestamp);

impl Serialize for ExtPair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&EXT_CODE)?;
        pair.serialize_element(&Body(&self.0.to_ext()))?;
        pair.end()
    }
}

struct Body<'a>(&'a [u8]);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}
