//! Flask-Session's layout.

#![cfg(feature = "flask")]

mod bytes;
mod clock;
mod conformance;
mod expiry;
mod isolation;
mod lost_reply;
mod migrate;
mod rows;
mod statements;
mod sweep;
pub(crate) mod tables;
mod unreachable_server;
