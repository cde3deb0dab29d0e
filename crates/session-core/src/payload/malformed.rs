use std::{error, fmt};

use super::{Format, MAX_DEPTH, MAX_KEYS};

/// Why bytes are not an encoded session or value; quotes nothing of them, so it can be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The bytes end inside a value, or a length points behind their end.
    Truncated,
    /// Bytes follow the value.
    Trailing,
    /// The one marker that `MessagePack` does not use.
    Reserved,
    /// Lists and maps nest too deep.
    TooDeep,
    /// A map holds more keys than a session may have.
    TooManyKeys,
    /// A text is not UTF-8.
    NotUtf8,
    /// Not JSON.
    NotJson,
    /// A number that no 64-bit float can stand for.
    Number,
    /// The session is not a map in either format.
    NotAMap {
        /// The format that was expected.
        expected: Format,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it ends too early"),
            Self::Trailing => f.write_str("bytes follow its end"),
            Self::Reserved => f.write_str("it holds a marker that MessagePack reserves"),
            Self::TooDeep => write!(f, "it nests more than {MAX_DEPTH} lists and maps"),
            Self::TooManyKeys => write!(f, "it has more than {MAX_KEYS} keys"),
            Self::NotUtf8 => f.write_str("a text in it is not UTF-8"),
            Self::NotJson => f.write_str("it is not JSON"),
            Self::Number => f.write_str("it holds a number that is out of range"),
            Self::NotAMap { expected } => {
                write!(f, "it is no map, neither in {expected} nor otherwise")
            }
        }
    }
}

impl error::Error for Malformed {}
