//! Tests of the store on a real server, one file for each property.

#![allow(clippy::unwrap_used, reason = "test code")]

mod commands_sent;
mod config;
mod conformance;
mod dropped_calls;
mod expiry;
mod failpoints;
mod flask;
mod increments;
mod indexes;
mod outage;
mod runtimes;
mod setup;
mod size;
mod tls;
mod types;
