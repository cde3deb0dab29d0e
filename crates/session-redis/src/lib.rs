#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod batch;
#[cfg(feature = "cluster")]
mod cluster;
mod command;
mod connection;
mod diagnosis;
mod error;
mod expiry;
mod owner_index;
#[cfg(feature = "sentinel")]
mod primary;
mod scan;
mod script;
#[cfg(feature = "sentinel")]
mod sentinels;
mod server;
mod session_store;
mod settings;
mod store;
mod timeouts;
#[cfg(feature = "tls")]
mod tls;
mod worker_connection;
mod worker_connections;

pub use redis;
pub use store::RedisStore;
