use std::{fmt, str::FromStr};

use session_core::config::ConfigError;

/// The permission bits of a record's file: the owner can read and write, group and others can do nothing.
///
/// Defaults to `0600`. Exact whatever the process's umask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// Checks and takes `bits`, such as `0o600`.
    ///
    /// # Errors
    ///
    /// If group or others could do anything, if the owner could not read and write, or if there are other bits.
    pub fn new(bits: u32) -> Result<Self, ConfigError> {
        if bits & !0o700 != 0 || bits & 0o600 != 0o600 {
            return Err(ConfigError::new(
                "SESSION_FILE_MODE",
                "must be octal with a leading zero, or decimal as in Flask, and let the owner read and write and \
                 nobody else do anything: 0600, or 384",
            ));
        }
        Ok(Self(bits))
    }

    /// The permission bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for FileMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for FileMode {
    type Err = ConfigError;

    /// Reads octal digits after `0` or `0o`, or a decimal number as Flask has it: `0600`, `0o600` and `384` are one
    /// mode. `600` is refused: taken at its word it is another mode than the one that was meant.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
        let (digits, radix) = octal.map_or((text, 10), |digits| (digits, 8));
        let bits = u32::from_str_radix(digits, radix)
            .ok()
            .filter(|_| !digits.starts_with('+'));
        // No bits at all are refused in the same words.
        Self::new(bits.unwrap_or(0))
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_needs_its_zero_and_decimal_is_flasks() {
        for (text, bits) in [
            ("0600", 0o600),
            ("0o600", 0o600),
            ("384", 0o600),
            (" 0700 ", 0o700),
            ("448", 0o700),
        ] {
            assert_eq!(text.parse::<FileMode>().unwrap().bits(), bits, "{text}");
        }
    }

    #[test]
    fn what_is_ambiguous_open_or_useless_is_refused_with_advice() {
        for text in [
            "600",
            "700",
            "0640",
            "0644",
            "0606",
            "0666",
            "0777",
            "420",
            "0400",
            "0200",
            "0",
            "0o",
            "",
            "04600",
            "0o1600",
            "rw-------",
            "+384",
            "-1",
            "0x180",
            "0o+600",
            "99999999999",
            "0800",
        ] {
            let error = text.parse::<FileMode>().unwrap_err();
            assert_eq!(error.name(), "SESSION_FILE_MODE");
            assert!(error.to_string().contains("0600"), "{text}: {error}");
        }
    }
}
