use std::{error, fmt};

use super::{MAX_DEPTH, MAX_KEYS, malformed::Malformed};

/// Why a value cannot be written in a format; quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// The value could not be read in the first place.
    Unreadable(Malformed),
    /// Lists and maps nest too deep.
    TooDeep,
    /// More keys than a session may have.
    TooManyKeys,
    /// An integer that `MessagePack` has no form for.
    Integer,
    /// A big integer that is not written in decimal digits.
    Digits,
    /// A text, bytes, list or map longer than `MessagePack` has a length for.
    TooLong,
    /// JSON has no extension types.
    Extension(i8),
    /// In JSON a key is text; what JSON itself has no text for cannot be one.
    Key,
}

impl From<Malformed> for Unwritable {
    fn from(fault: Malformed) -> Self {
        Self::Unreadable(fault)
    }
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(fault) => fault.fmt(f),
            Self::TooDeep => write!(f, "it nests more than {MAX_DEPTH} lists and maps"),
            Self::TooManyKeys => write!(f, "the session has more than {MAX_KEYS} keys"),
            Self::Integer => {
                f.write_str("it holds an integer of more than 64 bits, which MessagePack lacks")
            }
            Self::Digits => f.write_str("it holds a big integer that is not made of digits"),
            Self::TooLong => f.write_str("it is longer than MessagePack can tell"),
            Self::Extension(code) => write!(f, "it holds extension type {code}, which JSON lacks"),
            Self::Key => f.write_str("it holds a key that JSON cannot write as text"),
        }
    }
}

impl error::Error for Unwritable {}
