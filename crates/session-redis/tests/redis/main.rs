//! Tests `RedisStore` against real servers. Each test starts its own.

#![allow(
    clippy::unwrap_used,
    reason = "a test, and all that only tests call, fails by panicking"
)]

mod addresses;
mod batch;
mod cluster;
mod cluster_failover;
mod commands_sent;
mod common;
mod conformance;
mod failover;
mod increments;
mod limits;
mod missing_byte;
mod no_mixed_replies;
mod other_types;
mod out_of_memory;
mod outages;
mod owner_index;
mod plain_strings;
mod replicas;
mod scan;
mod scripts;
mod sentinel;
mod server_errors;
mod tls;
mod worker_connections;
