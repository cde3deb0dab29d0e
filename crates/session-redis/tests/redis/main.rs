//! `RedisStore` against real servers, each started by its test.

#![allow(
    clippy::unwrap_used,
    reason = "a test, and all that only tests call, fails by panicking"
)]

mod accounting;
mod addresses;
mod batch;
mod cluster;
mod conformance;
mod foreign;
mod full;
mod given;
mod identity;
mod lanes;
mod limits;
mod lost_byte;
mod outages;
mod owners;
mod plain;
mod refusals;
mod replicas;
mod scripts;
mod sentinel;
mod tls;
mod traffic;
