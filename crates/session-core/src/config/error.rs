//! The error of a setting that cannot be used.

use std::{error, fmt};

/// A setting that cannot be used. The message is one line that says what to do.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    name: Box<str>,
    reason: Box<str>,
}

impl ConfigError {
    /// The setting's name and, as the end of a sentence that begins with it, what it must be.
    pub fn new(name: impl Into<Box<str>>, reason: impl Into<Box<str>>) -> Self {
        Self {
            name: name.into(),
            reason: reason.into(),
        }
    }

    /// The name of the setting.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.reason)
    }
}

impl fmt::Debug for ConfigError {
    /// The same line, so that a `main` that returns the error prints it readably.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_same_line() {
        let error = ConfigError::new("SESSION_ID_LENGTH", "must be 16 to 90 (bytes)");
        assert_eq!(format!("{error:?}"), error.to_string());
        assert_eq!(format!("{error:#?}"), error.to_string());
    }
}
