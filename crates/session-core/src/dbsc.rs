//! Device Bound Session Credentials: a session that only the browser can use which it was bound to,
//! because that browser has a key that cannot be copied. `DEVICE_BOUND.md` explains it.
//!
//! No I/O. The device's public key and what was last proved are in the header of the session's
//! record, so whatever ends, renews or lists the session applies to them. What a browser really does
//! decides much of this: it is told at each rule.

mod binding;
mod change;
mod device;
mod fetch_metadata;
mod headers;
mod policy;
mod proof;
mod routes;
mod test_device;

pub use binding::DeviceBinding;
pub(crate) use change::DeviceChange;
pub(crate) use fetch_metadata::FetchMetadata;
pub(crate) use headers::{SKIPPED, skipped};
pub(crate) use policy::PresentedProofs;
pub use policy::{DevicePolicy, DeviceState};
pub use proof::{DeviceKey, Proof, ProofRefused};
pub use routes::{DeviceAnswer, DeviceHeaders};
pub use test_device::TestDevice;
