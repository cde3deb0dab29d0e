//! The HTTP tests of session-tower, on every store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../crates/session-tower/tests/http/framework.rs"]
mod framework;
/// Layers are added to each route.
mod layers {
    pub(crate) use axum::Router as Routes;
}
#[path = "../http_stores/mod.rs"]
mod store;
#[path = "../../http/mod.rs"]
mod suite;
