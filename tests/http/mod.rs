//! The HTTP tests: one module for each property. They are the same for every adapter.
//!
//! Each adapter's crate compiles them as a part of its own tests, beside a module `framework` that
//! builds a small application with that framework.

mod adoption;
mod answer;
pub(crate) mod browser;
mod caching;
mod cookies;
mod cross_site;
mod damaged_records;
mod devices;
mod failures;
mod flask_cookie;
mod fresh_login;
mod header;
mod hostile_cookies;
mod id_only_in_cookie;
mod interrupted;
mod keys;
mod lifetimes;
pub(crate) mod log;
mod logins;
mod named;
mod nested;
pub(crate) mod observed_store;
mod rotation;
mod saved_by_handler;
mod secrets;
mod security_events;
mod store_calls;
mod streams;
pub(crate) mod test_clock;

pub(crate) use answer::{Answer, Teapot};
pub(crate) use browser::Response;

/// The name of a second session.
pub(crate) enum Admin {}
