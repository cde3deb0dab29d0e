//! Each command on each store, on real servers; and sessions that move between stores while they are
//! used.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod commands;
mod copies;
mod doctor;
mod encryption;
mod interrupted;
mod moving;
mod outages;
mod support;
mod words;
