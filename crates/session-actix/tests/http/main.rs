//! The HTTP tests that every adapter passes, and those of what only Actix Web has.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod errors;
mod framework;
mod nested;
mod outside_handlers;
mod results;
mod store;
#[path = "../../../../tests/http/mod.rs"]
mod suite;
