use super::Timestamp;

/// The code of `MessagePack`'s own timestamp extension.
pub(crate) const EXT_CODE: i8 = -1;

/// From this second on, 34 bits no longer hold it.
const SECONDS_OF_64_BITS: i64 = 1 << 34;

const FIXEXT4: u8 = 0xd6;
const FIXEXT8: u8 = 0xd7;
const EXT8: u8 = 0xc7;

impl Timestamp {
    /// Appends the shortest of the extension's three widths.
    pub(crate) fn write_ext(self, out: &mut Vec<u8>) {
        let code = EXT_CODE.to_be_bytes()[0];
        match (u32::try_from(self.seconds), u64::try_from(self.seconds)) {
            (Ok(seconds), _) if self.nanos == 0 => {
                out.extend_from_slice(&[FIXEXT4, code]);
                out.extend_from_slice(&seconds.to_be_bytes());
            }
            (_, Ok(seconds)) if self.seconds < SECONDS_OF_64_BITS => {
                out.extend_from_slice(&[FIXEXT8, code]);
                let both = u64::from(self.nanos) << 34 | seconds;
                out.extend_from_slice(&both.to_be_bytes());
            }
            _ => {
                out.extend_from_slice(&[EXT8, 12, code]);
                out.extend_from_slice(&self.nanos.to_be_bytes());
                out.extend_from_slice(&self.seconds.to_be_bytes());
            }
        }
    }

    /// The instant in the bytes of an extension, in any of the three widths.
    pub(crate) fn from_ext(bytes: &[u8]) -> Option<Self> {
        if let Ok(seconds) = bytes.try_into().map(u32::from_be_bytes) {
            return Self::new(seconds.into(), 0).ok();
        }
        if let Ok(both) = bytes.try_into().map(u64::from_be_bytes) {
            let seconds = both & (SECONDS_OF_64_BITS.unsigned_abs() - 1);
            return Self::new(seconds.try_into().ok()?, (both >> 34).try_into().ok()?).ok();
        }
        let (nanos, seconds) = bytes.split_first_chunk()?;
        let seconds = seconds.try_into().map(i64::from_be_bytes).ok()?;
        Self::new(seconds, u32::from_be_bytes(*nanos)).ok()
    }
}
