use std::{fmt, ops::Range};

use super::unwritable::Unwritable;
use crate::error::Error;

/// What a value is filed under.
#[derive(Clone)]
pub(super) enum Key {
    /// Where in the loaded bytes a text stands, found to be UTF-8.
    Loaded(Range<usize>),
    /// A text that was inserted, or that the loaded bytes do not hold as it is.
    Given(Box<str>),
    /// Where in the loaded bytes anything else stands, encoded, that Flask lets a session be indexed by.
    Other(Range<usize>),
}

/// A key with its bytes at hand.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum KeyRef<'a> {
    /// A text, in UTF-8.
    Text(&'a [u8]),
    /// Anything else, encoded.
    Other(&'a [u8]),
}

impl Key {
    pub(super) fn of<'a>(&'a self, loaded: &'a [u8]) -> KeyRef<'a> {
        match self {
            Self::Loaded(range) => KeyRef::Text(&loaded[range.clone()]),
            Self::Given(text) => KeyRef::Text(text.as_bytes()),
            Self::Other(range) => KeyRef::Other(&loaded[range.clone()]),
        }
    }
}

impl<'a> KeyRef<'a> {
    pub(super) fn as_bytes(self) -> &'a [u8] {
        let (Self::Text(bytes) | Self::Other(bytes)) = self;
        bytes
    }

    pub(super) fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => {
                Some(std::str::from_utf8(text).expect("a text is checked when it becomes a key"))
            }
            Self::Other(_) => None,
        }
    }

    /// That the value of this key, or the key itself, cannot be written.
    pub(super) fn unwritable(self, fault: Unwritable) -> Error {
        Error::encode(format!("{self} cannot be written: {fault}"))
    }
}

impl fmt::Display for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_text() {
            Some(key) => write!(f, "the value of {key:?}"),
            None => f.write_str("an entry whose key is not text"),
        }
    }
}
