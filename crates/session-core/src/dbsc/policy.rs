//! What a session without proof of its device may do.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    device::{Device, ProofValue},
    proof::DeviceKey,
};
use crate::{
    cookie,
    error::{Error, Result},
    expiry::Millis,
    rules::Rules,
    session::Session,
};

/// How long the server accepts more than browsers do: for requests under way, and for clocks of
/// several processes that differ.
pub(super) const TOLERANCE: Duration = Duration::from_secs(60);

/// How long a session that was just bound is accepted without proof: a browser registers beside the
/// page that it loads, so it has sent requests without the cookie that arrive after it.
const JUST_BOUND: Duration = Duration::from_secs(30);

/// What a session without proof of its device may do, on the routes that a guard wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DevicePolicy {
    /// Everything. Sessions are bound where the browser can.
    #[default]
    Offer,
    /// Nothing: neither a session that is not bound, nor one whose device is not proved.
    Require,
    /// Everything, until it is bound. Once it is, nothing without proof.
    RequireOnceBound,
}

/// Whether a request comes from the device that its session is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceState {
    /// The session is not bound to a device.
    Unbound,
    /// It is bound, and the request has no proof that it comes from there.
    Unproved,
    /// It is bound, and the request has the bound cookie that this session's device got a short time
    /// ago.
    Proved,
}

/// How many values of the bound cookie are considered.
const MOST: usize = 64;

/// The values of the bound cookie that a request presented.
#[derive(Clone, Debug, Default)]
pub(crate) struct PresentedProofs(Vec<ProofValue>);

impl PresentedProofs {
    /// Notes those in a `Cookie` header.
    pub(crate) fn note(&mut self, header: &[u8], rules: &Rules) {
        let Some(binding) = &rules.settings.device_binding else {
            return;
        };
        let values = cookie::values(header, &binding.cookie.name);
        let room = MOST - self.0.len();
        self.0.extend(values.filter_map(proof).take(room));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In one comparison of 128 bits, whose time does not tell where they differ.
    fn contains(&self, proof: &ProofValue) -> bool {
        let known = u128::from_ne_bytes(*proof);
        self.0.iter().any(|it| u128::from_ne_bytes(*it) == known)
    }
}

fn proof(value: &[u8]) -> Option<ProofValue> {
    let mut bytes = [0; 18];
    let decoded = URL_SAFE_NO_PAD.decode_slice(value, &mut bytes).ok()?;
    bytes[..decoded].try_into().ok()
}

/// The time since `earlier`. What is later than clocks differ was made by a clock that was wrong, and
/// is over.
pub(super) fn age(earlier: Millis, now: Millis) -> Duration {
    if earlier.since(now) > TOLERANCE {
        Duration::MAX
    } else {
        now.since(earlier)
    }
}

/// Whether `proofs` prove the `device`, if a bound cookie lives for `life`.
#[inline]
fn state(device: &Device, proofs: &PresentedProofs, life: Duration, now: Millis) -> DeviceState {
    let age = age(device.since, now);
    let is_current = age <= life + TOLERANCE && proofs.contains(&device.proof);
    let was_just_replaced = age <= TOLERANCE && proofs.contains(&device.before);
    if device.is_cookie && (is_current || was_just_replaced) {
        DeviceState::Proved
    } else {
        DeviceState::Unproved
    }
}

impl Session {
    /// Whether this request comes from the device that the session is bound to, as this request
    /// leaves it: a login of another user, or one without proof, frees it. No store call.
    pub fn device_state(&self) -> DeviceState {
        let life = self.rules().settings.device_binding.as_ref();
        let life = life.map_or(Duration::ZERO, |it| it.life);
        let Some(machine) = self.machine_or_none() else {
            return DeviceState::Unbound;
        };
        let device = machine.view(self.rules()).device.as_deref();
        device.map_or(DeviceState::Unbound, |device| {
            let device = Device::of(device);
            state(&device, machine.presented_proofs(), life, self.now())
        })
    }

    /// The key of the device, if this request comes from there.
    pub(crate) fn proved_device(&self) -> Option<DeviceKey> {
        let is_proved = self.device_state() == DeviceState::Proved;
        self.device().filter(|_| is_proved).map(|it| it.key)
    }

    /// Refuses what `policy` does not allow to a session without proof of its device. Where the
    /// session was bound in the last 30 seconds, `RequireOnceBound` still accepts requests without
    /// proof, which the browser may have sent before.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceNeeded`], whose response is a 403. [`Error::Contended`], whose response is a
    /// 503, if another request has just renewed the session, so that nobody knows whether it is
    /// bound. [`Error::NotLoaded`] with `Require`, also a 503, if the store failed.
    pub fn require_device(&self, policy: DevicePolicy) -> Result<()> {
        let (is_late, is_not_loaded) = self.machine().map_or((false, false), |machine| {
            (machine.is_late(), machine.is_not_loaded())
        });
        if is_late && policy != DevicePolicy::Offer {
            return Err(Error::Contended);
        }
        if is_not_loaded && policy == DevicePolicy::Require {
            return Err(Error::NotLoaded);
        }
        let state = self.device_state();
        if self.lacks_proof(policy, state) {
            let lineage = self.lineage().map(crate::Lineage::to_bytes);
            if state == DeviceState::Unproved {
                self.rules().events.device_not_proved(lineage);
            }
            return Err(Error::DeviceNeeded);
        }
        Ok(())
    }

    /// Reports why the browser sent this request without the bound cookie, if the session is bound:
    /// a security event for each reason.
    pub(crate) fn report_skipped_device(&self, reasons: &[&'static str]) {
        if self.device_state() == DeviceState::Unbound {
            return;
        }
        let lineage = self.lineage().map(crate::Lineage::to_bytes);
        for reason in reasons {
            self.rules().events.device_skipped(lineage, reason);
        }
    }

    /// Whether the request lacks the proof because a link from elsewhere led to its page. Before
    /// such a one Chromium does not prove the device, and can do it now.
    #[cfg(feature = "adapter")]
    pub(crate) fn can_prove_now(&self, policy: DevicePolicy) -> bool {
        let machine = self.machine_or_none();
        machine.is_some_and(|it| it.fetch_metadata.is_page_from_elsewhere())
            && self.device_state() == DeviceState::Unproved
            && self.lacks_proof(policy, DeviceState::Unproved)
    }

    fn lacks_proof(&self, policy: DevicePolicy, state: DeviceState) -> bool {
        match policy {
            DevicePolicy::Offer => false,
            DevicePolicy::Require => state != DeviceState::Proved,
            DevicePolicy::RequireOnceBound => {
                state == DeviceState::Unproved && !self.was_just_bound()
            }
        }
    }

    fn was_just_bound(&self) -> bool {
        let now = self.now();
        let bound_at = self.device().map(|it| it.bound_at);
        bound_at.is_some_and(|bound_at| age(bound_at, now) <= JUST_BOUND)
    }
}
