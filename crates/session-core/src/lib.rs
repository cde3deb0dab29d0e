#![doc = include_str!("../README.md")]

pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod id;
mod key;
mod payload;
mod record;
mod store;
mod timestamp;
mod memory;
mod sweep;

pub use async_trait::async_trait;
pub use error::{BoxError, Error, Result};
pub use id::SessionId;
pub use key::{KeyPrefix, OwnerKey, StoreKey};
pub use payload::{Dynamic, Format, Payload, Value, is_pickle};
pub use record::{Loaded, Record, Revision, Touch, Write};
pub use store::{ExpiredSweep, OwnerIndex, SessionStore};
pub use timestamp::{Timestamp, TimestampError};
pub use memory::{Clock, MemoryStore};
pub use sweep::{sweep_every, sweep_until};
