//! The HTTP tests, with the layers around the whole router.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../http/framework.rs"]
mod framework;
mod layers;
#[path = "../http/store.rs"]
mod store;
#[path = "../../../../tests/http/mod.rs"]
mod suite;
