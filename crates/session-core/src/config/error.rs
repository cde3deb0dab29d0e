use std::{error, fmt};

/// A setting that cannot be used; its message is one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl error::Error for ConfigError {}
