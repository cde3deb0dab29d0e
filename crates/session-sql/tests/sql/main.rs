//! Tests of the store on `SQLite` in a file and in memory, on `PostgreSQL` and on `MariaDB`.
//!
//! All are one program, so that each server starts once. A test that stops or changes a server
//! starts its own.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod attempts;
mod availability;
mod binary_log;
mod bytes;
mod clock;
mod conformance;
mod counter;
mod databases;
mod failover;
mod file_mode;
mod flask;
mod full_or_read_only;
mod isolation;
mod kept_connections;
mod lists;
mod log_size;
mod lost_reply;
mod messages;
mod migrate;
mod migrating_processes;
mod missing_byte;
mod outage;
mod pgbouncer;
mod pool;
mod processes;
mod records;
mod schema_change;
mod settings;
mod statements;
mod sweep;
mod tls;
mod transactions;
mod unreachable_server;
