#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "actix-web")]
mod actix;
#[cfg(feature = "adapter")]
pub mod adapter;
mod all_sessions;
#[cfg(feature = "axum-core")]
mod axum;
mod codec;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod content;
mod cookie;
mod cross_site;
#[cfg(feature = "dbsc")]
pub mod dbsc;
mod driver;
#[cfg(feature = "encryption")]
mod encryption;
#[cfg(not(feature = "encryption"))]
#[path = "no_encryption.rs"]
mod encryption;
mod error;
mod expiry;
#[cfg(feature = "flask")]
mod flask;
mod header;
#[cfg(feature = "http")]
mod http;
mod id;
mod key;
mod machine;
mod measure;
mod memory;
#[cfg(feature = "model")]
#[doc(hidden)]
pub mod model;
mod moving;
mod op;
mod owned;
mod payload;
mod record;
mod request_session;
mod rotation;
mod rules;
mod secret_keys;
mod security_events;
mod session;
mod sessions;
mod shared;
mod short_list;
mod signer;
mod store;
mod sweep;
mod timestamp;

pub use all_sessions::{AllSessions, CopiedPage, SessionsPage, StoredSession};
pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use config::Settings;
pub use content::{Lineage, NotALineage};
pub use cookie::{CookieAttributes, SameSite};
pub use cross_site::{CrossSiteRule, RequestSource};
pub use driver::BackgroundSave;
#[cfg(feature = "encryption")]
pub use encryption::EncryptionKeys;
pub use error::{BoxError, Error, Result};
#[cfg(feature = "flask")]
pub use flask::flask_login_id;
pub use id::SessionId;
pub use key::{KeyPrefix, OwnerKey, StoreKey};
pub use machine::Saved;
#[cfg(feature = "metrics")]
pub use measure::{METRIC_BUCKETS, METRICS};
pub use memory::{Clock, MemoryStore};
pub use moving::Moving;
pub use owned::OwnedSession;
pub use payload::{Dynamic, Format, Payload, Value, is_pickle};
pub use record::{Cursor, IndexEntry, Listed, Loaded, Page, Record, Revision, Write};
pub use request_session::{
    Carrier, Finish, Finishing, OpenSession, RequestSession, ResponseHeaders,
};
pub use secret_keys::SecretKeys;
pub use security_events::SECURITY_EVENTS;
pub use session::Session;
pub use sessions::{Sessions, SessionsBuilder};
pub use store::{Connections, ExpiredSweep, Finding, OwnerIndex, Scan, SessionStore, Swept};
pub use sweep::{sweep_every, sweep_until};
pub use timestamp::{Timestamp, TimestampError};
