//! Makes errors of `session-core` from those of the driver and the server.

use mongodb::bson::Document;
use session_core::{BoxError, Error};

use crate::reply::integer;

/// The store's name in errors.
const STORE: &str = "mongodb";

pub(crate) fn backend_error(source: impl Into<BoxError>) -> Error {
    Error::backend(STORE, source)
}

/// A collection that holds something else than this store's sessions, or too many of them.
pub(crate) fn unsuitable_error(reason: &'static str) -> Error {
    Error::unsuitable(STORE, reason)
}

/// An error that the server reported for a write, with its `errmsg` and `code`.
pub(crate) fn write_error(error: &Document) -> Error {
    let text = error.get_str("errmsg").unwrap_or("no reason given");
    match integer(error.get("code")) {
        Some(code) => backend_error(format!("{text} (code {code})")),
        None => backend_error(text),
    }
}
