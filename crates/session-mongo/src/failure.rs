use std::{error, fmt};

use mongodb::bson::Document;
use session_core::{BoxError, Error};

use crate::reply::whole;

/// The store's name in errors.
const STORE: &str = "mongodb";

pub(crate) fn failed(source: impl Into<BoxError>) -> Error {
    Error::backend(STORE, source)
}

/// A write that the server refused or could not confirm.
#[derive(Debug)]
pub(crate) struct ServerRefusal {
    code: Option<i64>,
    text: Box<str>,
}

impl ServerRefusal {
    /// Takes the server's `code` and `errmsg`.
    pub(crate) fn new(error: &Document) -> Self {
        Self {
            code: whole(error.get("code")),
            text: error.get_str("errmsg").unwrap_or("no reason given").into(),
        }
    }
}

impl fmt::Display for ServerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} (code {code})", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl error::Error for ServerRefusal {}
