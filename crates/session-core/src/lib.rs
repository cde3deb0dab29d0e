#![doc = include_str!("../README.md")]

pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod id;
mod key;
mod memory;
mod record;
mod store;
mod sweep;

pub use async_trait::async_trait;
pub use error::{BoxError, Error, Result};
pub use id::SessionId;
pub use key::{KeyPrefix, OwnerKey, StoreKey};
pub use memory::{Clock, MemoryStore};
pub use record::{Loaded, Record, Revision, Touch, Write};
pub use store::{ExpiredSweep, OwnerIndex, SessionStore};
pub use sweep::{sweep_every, sweep_until};
