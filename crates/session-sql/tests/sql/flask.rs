//! Flask-Session's layout: the store contract, its rows, and what sets it apart from our own.

mod bytes;
mod clock;
mod conformance;
mod expiry;
mod layout;
mod rows;
mod sweep;
pub(crate) mod tables;
