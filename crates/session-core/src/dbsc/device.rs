//! What a record says about the device that its session is bound to.
//!
//! ```text
//! offset  bytes
//!      0     64  public key: x and y
//!     64     16  the proof: random, the value of the bound cookie that was set last
//!     80      6  when it was made
//!     86     16  the proof before
//!    102      6  when the session was bound
//!    108      1  1 if the proof was set as a cookie; 0 if only its challenge was given out
//! ```

use sha2::{Digest, Sha256};

use super::proof::DeviceKey;
use crate::{
    expiry::Millis,
    header::{DeviceField, millis_of, short_time},
};

/// 128 random bits. Whoever presents them as the bound cookie comes from the device.
pub(crate) type ProofValue = [u8; 16];

/// What a challenge is made of, so that it tells nobody the cookie's value: scripts can read the
/// headers of answers, and cannot read this cookie.
const CHALLENGE: &[u8] = b"session-core challenge to a device, version 1";
const NAME: &[u8] = b"session-core name of a device's session, version 1";

/// The device that a session is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) key: DeviceKey,
    pub(crate) proof: ProofValue,
    pub(crate) since: Millis,
    /// The proof before, which requests under way may have.
    pub(crate) before: ProofValue,
    pub(crate) bound_at: Millis,
    /// Whether the proof is a cookie's value. Otherwise it is only there for its challenge.
    pub(crate) is_cookie: bool,
}

impl Device {
    #[inline]
    pub(crate) fn of(field: &DeviceField) -> Self {
        Self {
            key: DeviceKey::of(array(field, 0)),
            proof: array(field, 64),
            since: Millis::new(millis_of(array(field, 80))),
            before: array(field, 86),
            bound_at: Millis::new(millis_of(array(field, 102))),
            is_cookie: field[108] & 1 != 0,
        }
    }

    pub(crate) fn field(&self) -> DeviceField {
        let mut field = [0; 109];
        field[..64].copy_from_slice(self.key.as_bytes());
        field[64..80].copy_from_slice(&self.proof);
        field[80..86].copy_from_slice(&short_time(self.since.get()));
        field[86..102].copy_from_slice(&self.before);
        field[102..108].copy_from_slice(&short_time(self.bound_at.get()));
        field[108] = u8::from(self.is_cookie);
        field
    }

    /// The challenge that the browser has to sign next. It is another one after each proof, so each
    /// counts once.
    pub(crate) fn challenge(&self) -> [u8; 16] {
        digest(&[CHALLENGE, &self.proof])
    }

    /// The name that the browser has for the bound session of this `lineage`.
    pub(crate) fn name(&self, lineage: [u8; 16]) -> [u8; 16] {
        digest(&[NAME, &lineage, self.key.as_bytes()])
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    array(&digest.finalize(), 0)
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[offset..offset + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_it_was_written() {
        for is_cookie in [false, true] {
            let device = Device {
                key: DeviceKey::of([1; 64]),
                proof: [2; 16],
                since: Millis::new(3),
                before: [4; 16],
                bound_at: Millis::new(5),
                is_cookie,
            };
            assert_eq!(Device::of(&device.field()), device);
        }
    }
}
