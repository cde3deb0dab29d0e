//! The middleware and the extractor, one module for each property.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod adoption;
mod browser;
mod caching;
mod channels;
mod cookies;
mod errors;
mod failures;
mod half_saved;
mod hostile_cookies;
mod interrupted;
mod keys;
mod lazily;
mod lifetimes;
mod log;
mod logins;
mod named;
mod nested;
mod observed;
mod outside_handlers;
mod results;
mod secrets;
mod spoilt;
mod streams;
