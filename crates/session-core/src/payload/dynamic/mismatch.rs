//! The error of a value that does not fit a type. It quotes nothing of the value.

use std::{error, fmt};

use serde::de::{self, Expected, Unexpected};

/// Why a value does not fit a type. It says what the type expects, and quotes nothing of the value.
#[derive(Debug)]
pub(in crate::payload) struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for Mismatch {}

impl de::Error for Mismatch {
    /// The message may quote the value.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self("the type does not accept it".into())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}, found {}", kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let kind = kind(found);
        Self(format!("expected {expected}, found {kind} that is not"))
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}, found {len} elements"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("a variant that is none of {expected:?}"))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("a field that is none of {expected:?}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("the field {field:?} is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self(format!("the field {field:?} comes twice"))
    }
}

fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a float",
        Unexpected::Char(_) | Unexpected::Str(_) => "text",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a map",
        _ => "something else",
    }
}
