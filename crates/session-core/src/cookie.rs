//! Cookies on the wire: what is read from a `Cookie` header and written into a `Set-Cookie` header.

mod attributes;
#[cfg(test)]
mod http_state;
mod read;
mod write;

pub use attributes::{CookieAttributes, SameSite};
pub(crate) use read::values;
pub(crate) use write::{CookieLifetime, removal, set_cookie};
