//! The changes of a session's device, as operations that can be replayed on a newer record.

use std::sync::Arc;

use super::{
    device::{Device, ProofValue},
    proof::DeviceKey,
};
use crate::{
    content::Content,
    error::{Error, Result},
    expiry::Millis,
};

/// A change of a session's device. If another request was first, it is refused or does nothing:
/// so each challenge counts once, whichever process it reaches.
#[derive(Clone)]
pub(crate) enum DeviceChange {
    /// Binds the session of the login that the challenge was made for.
    Bind {
        owner: Option<Arc<str>>,
        authenticated_at: Option<Millis>,
        device: Device,
    },
    /// The device proved itself, by the challenge of the proof `used`. That one counts for a moment
    /// longer if it `still_counts`.
    Prove {
        key: DeviceKey,
        used: ProofValue,
        still_counts: bool,
        next: ProofValue,
        now: Millis,
    },
    /// Makes another challenge, unless there is one by now.
    Challenge {
        stale: ProofValue,
        next: ProofValue,
        now: Millis,
    },
    /// A login keeps the device that proved itself in its request. Another one, which was bound
    /// before or meanwhile, may be a stranger's, or has lost its key.
    Keep(Option<DeviceKey>),
}

impl DeviceChange {
    /// Whether the browser made it by itself, some time after a login.
    pub(crate) fn is_of_browser(&self) -> bool {
        matches!(self, Self::Prove { .. } | Self::Challenge { .. })
    }

    pub(crate) fn apply(&self, content: &mut Content) -> Result<bool> {
        let device = content.device.as_deref().map(Device::of);
        let after = match (self, device) {
            (
                Self::Bind {
                    owner,
                    authenticated_at,
                    device,
                },
                None,
            ) if content.owner == *owner && content.authenticated_at == *authenticated_at => {
                device.clone()
            }
            (
                Self::Prove {
                    key,
                    used,
                    still_counts,
                    next,
                    now,
                },
                Some(device),
            ) if device.key == *key && device.proof == *used => Device {
                before: if *still_counts { *used } else { *next },
                proof: *next,
                since: *now,
                is_cookie: true,
                ..device
            },
            (Self::Bind { .. } | Self::Prove { .. }, _) => return Err(Error::Conflict),
            (Self::Challenge { stale, next, now }, Some(device)) if device.proof == *stale => {
                Device {
                    proof: *next,
                    since: *now,
                    is_cookie: false,
                    ..device
                }
            }
            (Self::Keep(key), Some(device)) if *key != Some(device.key) => {
                content.device = None;
                return Ok(true);
            }
            (Self::Challenge { .. } | Self::Keep(_), _) => return Ok(false),
        };
        content.device = Some(Arc::new(after.field()));
        Ok(true)
    }
}
