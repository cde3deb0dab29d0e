#![doc = include_str!("../README.md")]

mod address;
mod batch;
mod connection;
mod exchange;
mod failure;
mod lane;
mod lanes;
mod owners;
mod records;
mod script;
mod server;
mod store;
mod tls;

pub use redis;
pub use store::RedisStore;
