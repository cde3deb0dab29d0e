//! The session cookie in HTTP headers: it is found in `Cookie`, written in `Set-Cookie`, and
//! checked at the start.

mod attributes;
#[cfg(test)]
mod http_state;
mod read;
mod write;

pub use attributes::{CookieAttributes, SameSite};
pub(crate) use read::values;
pub(crate) use write::{CookieLifetime, removal, set_cookie};
