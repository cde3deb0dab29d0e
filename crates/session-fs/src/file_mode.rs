//! `FileMode`, the permission bits of a record's file.

use std::{fmt, str::FromStr};

use rustix::fs::Mode;
use session_core::config::ConfigError;

use crate::settings::MODE;

/// The permission bits of a record's file. The owner can read and write; group and others have no
/// access.
///
/// Defaults to `0600`. The process's umask does not change them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// Creates a mode from `bits`, such as `0o600`.
    ///
    /// # Errors
    ///
    /// If the bits give group or others any access, do not let the owner read and write, or contain
    /// others than permission bits.
    pub fn new(bits: u32) -> Result<Self, ConfigError> {
        if bits & !0o700 != 0 || bits & 0o600 != 0o600 {
            return Err(ConfigError::new(
                MODE,
                "must be octal with a leading zero, or decimal as in Flask, and let the owner read \
                 and write and give nobody else access: 0600, or 384",
            ));
        }
        Ok(Self(bits))
    }

    /// The permission bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The same for a system call. The integers behind it have 16 bits on macOS and the BSDs.
    pub(crate) fn flags(self) -> Mode {
        // `new` lets no other mode pass.
        if self.0 & 0o100 == 0 {
            Mode::RUSR | Mode::WUSR
        } else {
            Mode::RWXU
        }
    }
}

impl Default for FileMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for FileMode {
    type Err = ConfigError;

    /// Parses octal digits after `0` or `0o`, or a decimal number as in Flask's settings: `0600`,
    /// `0o600` and `384` are the same mode. `600` is refused: as a decimal number it is not the
    /// mode that its author means.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
        let (digits, radix) = octal.map_or((text, 10), |digits| (digits, 8));
        let bits = u32::from_str_radix(digits, radix)
            .ok()
            .filter(|_| !digits.starts_with('+'));
        // `new` refuses 0, with the same message.
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
    fn octal_needs_a_leading_zero_and_decimal_is_as_in_flask() {
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
    fn the_flags_of_a_system_call_are_the_same_bits() {
        let flags = |bits| FileMode::new(bits).unwrap().flags();
        assert_eq!(flags(0o600), Mode::from_raw_mode(0o600));
        assert_eq!(flags(0o700), Mode::from_raw_mode(0o700));
    }

    #[test]
    fn ambiguous_open_and_useless_modes_are_refused_with_advice() {
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
            assert_eq!(error.name(), MODE);
            assert!(error.to_string().contains("0600"), "{text}: {error}");
        }
    }
}
