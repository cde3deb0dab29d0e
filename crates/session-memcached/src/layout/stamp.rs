use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const NUMBER: usize = size_of::<u64>();
/// Whatever Flask writes does not end so: the first byte is neither MessagePack nor UTF-8. The last is the version.
const MARK: [u8; 4] = *b"\xc1SM\x01";

/// What stands behind the payload in an item.
///
/// Memcached's own clock runs in whole seconds and up to two seconds off, so the record has its own expiry; and an
/// answer is checked to be the one to the question. Three big-endian numbers of eight bytes, in this order, and the
/// mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// In milliseconds since the epoch.
    pub(super) expires: u64,
    /// Random, the same until the payload is replaced.
    pub(super) revision: u64,
    /// The hash of the key that the item was written under.
    pub(super) key: u64,
}

impl Stamp {
    const LEN: usize = 3 * NUMBER + MARK.len();

    /// For a payload that is written now under the key whose hash is `key`.
    pub(super) fn new(key: u64, expires_at: SystemTime) -> Self {
        Self {
            expires: millis(expires_at),
            // Keyed anew each time: a random number.
            revision: RandomState::new().hash_one(MARK),
            key,
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
        for number in [self.expires, self.revision, self.key] {
            value.extend_from_slice(&number.to_be_bytes());
        }
        value.extend_from_slice(&MARK);
        value
    }

    /// Cuts the stamp off, so that `value` is the payload; `None` if there is none.
    pub(super) fn cut_off(value: &mut Vec<u8>) -> Option<Self> {
        let payload = value.len().checked_sub(Self::LEN)?;
        let (expires, rest) = number(&value[payload..])?;
        let (revision, rest) = number(rest)?;
        let (key, mark) = number(rest)?;
        let legal = UNIX_EPOCH
            .checked_add(Duration::from_millis(expires))
            .is_some();
        if mark != MARK || !legal {
            return None;
        }
        value.truncate(payload);
        Some(Self {
            expires,
            revision,
            key,
        })
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*first), rest))
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
            key: 0x2122_2324_2526_2728,
        };
        let mut value = stamp.put_behind(b"payload");
        assert_eq!(
            value,
            b"payload\x01\x02\x03\x04\x05\x06\x07\x08\x11\x12\x13\x14\x15\x16\x17\x18\x21\x22\x23\x24\x25\x26\x27\x28\xc1SM\x01"
        );
        assert_eq!(Stamp::cut_off(&mut value), Some(stamp));
        assert_eq!(value, b"payload");
    }

    #[test]
    fn what_has_no_stamp_is_left_as_it_is() {
        let whole = Stamp::new(1, SystemTime::now()).put_behind(b"");
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
        let revisions: std::collections::BTreeSet<_> = (0..1000)
            .map(|_| Stamp::new(1, UNIX_EPOCH).revision)
            .collect();
        assert_eq!(revisions.len(), 1000);
        let stamp = Stamp::new(1, UNIX_EPOCH);
        assert_eq!(stamp.moved(SystemTime::now()).revision, stamp.revision);
    }
}
