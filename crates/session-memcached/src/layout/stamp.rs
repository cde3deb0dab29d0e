use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const EXPIRES: usize = 8;
const REVISION: usize = 8;
/// No MessagePack map and no JSON text ends so; the second byte is the layout's version.
const MARK: [u8; 2] = [0xc1, 1];

/// What stands behind the payload in an item: memcached's own clock runs in whole seconds and up to two seconds off.
///
/// Eight bytes of expiry in milliseconds since the epoch, eight bytes of revision, both big-endian, and the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) expires: u64,
    pub(super) revision: u64,
}

impl Stamp {
    pub(super) const LEN: usize = EXPIRES + REVISION + MARK.len();

    /// For a payload that is written now.
    pub(super) fn new(expires_at: SystemTime) -> Self {
        Self {
            expires: millis(expires_at),
            // Keyed anew each time: a random number.
            revision: RandomState::new().hash_one(MARK),
        }
    }

    /// For the same payload with another end.
    pub(super) fn moved(self, expires_at: SystemTime) -> Self {
        Self {
            expires: millis(expires_at),
            ..self
        }
    }

    pub(super) fn is_live(self) -> bool {
        self.expires > millis(SystemTime::now())
    }

    pub(super) fn expires_at(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.expires)
    }

    /// `payload` with this stamp behind it.
    pub(super) fn put_behind(self, payload: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(payload.len() + Self::LEN);
        value.extend_from_slice(payload);
        value.extend_from_slice(&self.expires.to_be_bytes());
        value.extend_from_slice(&self.revision.to_be_bytes());
        value.extend_from_slice(&MARK);
        value
    }

    /// Cuts the stamp off, so that `value` is the payload; `None` if there is none.
    pub(super) fn cut_off(value: &mut Vec<u8>) -> Option<Self> {
        let payload = value.len().checked_sub(Self::LEN)?;
        let (expires, rest) = value[payload..].split_first_chunk::<EXPIRES>()?;
        let (revision, mark) = rest.split_first_chunk::<REVISION>()?;
        let stamp = Self {
            expires: u64::from_be_bytes(*expires),
            revision: u64::from_be_bytes(*revision),
        };
        if mark != MARK
            || UNIX_EPOCH
                .checked_add(Duration::from_millis(stamp.expires))
                .is_none()
        {
            return None;
        }
        value.truncate(payload);
        Some(stamp)
    }
}

fn millis(instant: SystemTime) -> u64 {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions outlive an upgrade: the bytes stay as they are.
    #[test]
    fn the_layout_is_fixed() {
        let stamp = Stamp {
            expires: 0x0102_0304_0506_0708,
            revision: 0x1112_1314_1516_1718,
        };
        let mut value = stamp.put_behind(b"payload");
        assert_eq!(
            value,
            b"payload\x01\x02\x03\x04\x05\x06\x07\x08\x11\x12\x13\x14\x15\x16\x17\x18\xc1\x01"
        );
        assert_eq!(Stamp::cut_off(&mut value), Some(stamp));
        assert_eq!(value, b"payload");
    }

    #[test]
    fn what_has_no_stamp_is_left_as_it_is() {
        let whole = Stamp::new(SystemTime::now()).put_behind(b"");
        for length in 0..whole.len() {
            let mut value = whole[..length].to_vec();
            assert_eq!(Stamp::cut_off(&mut value), None);
            assert_eq!(value, whole[..length]);
        }
        let mut value = vec![0x80; 64];
        assert_eq!(Stamp::cut_off(&mut value), None);
        assert_eq!(value.len(), 64);
    }

    #[test]
    fn each_write_has_a_revision_of_its_own() {
        let revisions: std::collections::BTreeSet<_> =
            (0..1000).map(|_| Stamp::new(UNIX_EPOCH).revision).collect();
        assert_eq!(revisions.len(), 1000);
        let stamp = Stamp::new(UNIX_EPOCH);
        assert_eq!(stamp.moved(SystemTime::now()).revision, stamp.revision);
    }
}
