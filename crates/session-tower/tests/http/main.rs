//! The HTTP tests that every adapter passes, and those of what only tower and axum have.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod framework;
/// Layers are added to each route.
mod layers {
    pub(crate) use axum::Router as Routes;
}
mod other_layers;
mod services;
mod store;
#[path = "../../../../tests/http/mod.rs"]
mod suite;
mod web_socket;
