//! The store on a real server: one file for each property.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that goes wrong"
)]

mod cancelled;
mod config;
mod conformance;
mod expiry;
mod failpoints;
mod flask;
mod increments;
mod indexes;
mod outage;
mod runtimes;
mod sent;
mod setup;
mod size;
mod types;
