//! The store on real databases: `SQLite` in a file and in memory, `PostgreSQL` and `MariaDB`.
//!
//! One program, so that the servers start once; a test that stops or alters a server has its own.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod bytes;
mod clock;
mod conformance;
mod counter;
mod databases;
mod due;
mod flask;
mod full;
mod isolation;
mod lists;
mod lost_byte;
mod migrate;
mod outage;
mod patience;
mod pool;
mod records;
mod settings;
mod statements;
mod transactions;
mod unreachable;
