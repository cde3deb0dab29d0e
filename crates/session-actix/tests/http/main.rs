//! The middleware and the extractor, one module for each property.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod adoption;
mod browser;
mod caching;
mod cookies;
mod cross_site;
mod damaged_records;
#[cfg(feature = "dbsc")]
mod devices;
mod errors;
mod failures;
mod fresh_login;
mod hostile_cookies;
mod id_only_in_cookie;
mod interrupted;
mod keys;
mod lifetimes;
mod log;
mod logins;
mod named;
mod nested;
mod observed_store;
mod outside_handlers;
mod results;
mod rotation;
mod saved_by_handler;
mod secrets;
mod security_events;
mod store_calls;
mod streams;
mod test_clock;
