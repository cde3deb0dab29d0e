//! What an item's value is, and so how its end is known and moved.

pub(crate) mod flask;
pub(crate) mod stamped;

mod exptime;
mod stamp;

use session_core::StoreKey;

use crate::{links::Link, seen::Seen};

/// How a record becomes an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The payload, then its expiry in milliseconds and its revision.
    #[default]
    Stamped,
    /// The payload alone, as Flask-Session writes it.
    Flask,
}

/// Where a record is.
pub(crate) struct Place<'a> {
    pub(crate) link: &'a Link,
    pub(crate) key: &'a StoreKey,
    /// The hash of the key.
    pub(crate) hash: u64,
    pub(crate) seen: &'a Seen,
}
