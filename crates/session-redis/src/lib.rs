#![doc = include_str!("../README.md")]

mod address;
mod batch;
mod command;
mod connection;
mod error;
mod expiry;
mod owner_index;
mod primary;
mod script;
mod sentinels;
mod server;
mod session_store;
mod settings;
mod store;
mod timeouts;
mod tls;
mod worker_connection;
mod worker_connections;

pub use redis;
pub use store::RedisStore;
