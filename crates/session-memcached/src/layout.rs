//! What an item's value is, and so how its end is known and moved.

pub(crate) mod flask;
pub(crate) mod stamped;

mod exptime;
mod seen;
mod stamp;

pub(crate) use seen::Seen;

use session_core::StoreKey;

use crate::links::Link;

/// How a record becomes an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The payload, and a stamp behind it.
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
