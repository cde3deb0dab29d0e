use mongodb::bson::Document;
use session_core::{BoxError, Error};

use crate::reply::whole;

/// The store's name in errors.
const STORE: &str = "mongodb";

pub(crate) fn failed(source: impl Into<BoxError>) -> Error {
    Error::backend(STORE, source)
}

/// A write that the server refused or could not confirm, in its own words: `code` and `errmsg`.
pub(crate) fn refused(error: &Document) -> Error {
    let text = error.get_str("errmsg").unwrap_or("no reason given");
    match whole(error.get("code")) {
        Some(code) => failed(format!("{text} (code {code})")),
        None => failed(text),
    }
}
