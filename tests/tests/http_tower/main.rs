//! The HTTP tests of session-tower, on every store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../crates/session-tower/tests/http/framework.rs"]
mod framework;
#[path = "../http_stores/mod.rs"]
mod store;
#[path = "../../http/mod.rs"]
mod suite;
