//! What the handlers of the tests answer.

use std::fmt;

use crate::framework::Body;

/// A response, for each framework to make its own of.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

impl Answer {
    pub(crate) fn new(body: impl Into<Body>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn ok() -> Self {
        Self::new(String::new())
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An error of an application.
#[derive(Debug)]
pub(crate) struct Teapot;

impl fmt::Display for Teapot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no coffee")
    }
}

impl<E: std::error::Error> From<E> for Teapot {
    fn from(error: E) -> Self {
        unreachable!("no test makes this handler fail by {error}")
    }
}
