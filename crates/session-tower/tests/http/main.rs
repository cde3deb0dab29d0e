//! The HTTP tests that every adapter passes, and those of what only tower and axum have.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod framework;
mod services;
mod store;
#[path = "../../../../tests/http/mod.rs"]
mod suite;
