//! The secret keys that sign session ids, and the check of their strength.

use std::fmt;

use zeroize::Zeroizing;

use crate::config::ConfigError;

/// Secret keys that sign session ids. The newest key signs; all keys verify.
///
/// `Debug` shows only how many there are. The memory is wiped on drop.
#[derive(Clone)]
pub struct SecretKeys(pub(crate) Vec<Zeroizing<Vec<u8>>>);

impl SecretKeys {
    /// The fewest bytes of a key.
    pub const MIN_LEN: usize = 32;
    const MIN_DISTINCT: usize = 8;

    /// The key that signs. Every byte belongs to it, also a comma. But `SECRET_KEY_FALLBACKS` is
    /// split at commas.
    ///
    /// # Errors
    ///
    /// If it is shorter than 32 bytes, repeats itself, or has fewer than 8 different bytes (ASVS
    /// 5.0, 11.2.3).
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Ok(Self(vec![strong("SECRET_KEY", secret.as_ref())?]))
    }

    /// The key that signs, from the environment.
    pub(crate) fn from_env_text(secret: &str) -> Result<Self, ConfigError> {
        refuse_comma("SECRET_KEY", secret)?;
        // Spaces around it are removed, as in the list of older keys.
        Self::new(secret.trim_ascii())
    }

    /// Adds an older key, which verifies but never signs.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_fallback(mut self, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let secret = older(secret.as_ref())?;
        self.0.push(strong("SECRET_KEY_FALLBACKS", secret)?);
        Ok(self)
    }

    /// The newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|secret| &secret[..])
    }
}

pub(crate) fn refuse_comma(name: &str, secret: &str) -> Result<(), ConfigError> {
    if secret.contains(',') {
        return Err(ConfigError::new(
            name,
            format!(
                "must not contain a comma: {name}_FALLBACKS, where this key goes when you replace it, is split at \
                 commas; `openssl rand -base64 48` makes one without"
            ),
        ));
    }
    Ok(())
}

pub(crate) fn is_blank(secret: &[u8]) -> bool {
    secret.trim_ascii().is_empty()
}

pub(crate) fn older(secret: &[u8]) -> Result<&[u8], ConfigError> {
    if is_blank(secret) {
        return Err(ConfigError::new(
            "SECRET_KEY_FALLBACKS",
            "must not hold an empty key; is there a comma too many?",
        ));
    }
    Ok(secret)
}

pub(crate) fn strong(name: &str, secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let mut seen = [false; 256];
    for byte in secret {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let repeats =
        (1..=secret.len() / 2).any(|unit| secret.iter().zip(&secret[unit..]).all(|(a, b)| a == b));
    let weakness = if secret.len() < SecretKeys::MIN_LEN {
        "has too few bytes"
    } else if repeats {
        "repeats itself"
    } else if distinct < SecretKeys::MIN_DISTINCT {
        "has too few different bytes"
    } else {
        return Ok(Zeroizing::new(secret.to_vec()));
    };
    Err(ConfigError::new(
        name,
        format!(
            "must be at least 32 random bytes, and this one {weakness}; `openssl rand -base64 48` makes a good one"
        ),
    ))
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRONG: &str = "a newer key of some forty characters, 22";

    #[test]
    fn weak_keys_are_refused_and_named() {
        for (weak, why) in [
            ("", "has too few bytes"),
            ("secret", "has too few bytes"),
            ("dev", "has too few bytes"),
            ("change-me", "has too few bytes"),
            ("0123456789012345678901234567890", "has too few bytes"),
            (&*"a".repeat(43), "repeats itself"),
            (&"a".repeat(64), "repeats itself"),
            (&"ab".repeat(32), "repeats itself"),
            (&"secret".repeat(8), "repeats itself"),
            (&"01234567".repeat(8), "repeats itself"),
            (
                "aaaabbbbccccddddaaaabbbbccccddddabcd",
                "has too few different bytes",
            ),
        ] {
            let error = SecretKeys::new(weak).unwrap_err().to_string();
            assert!(error.starts_with("SECRET_KEY must be"), "{weak}: {error}");
            assert!(error.contains(why), "{weak}: {error}");
        }
        assert!(
            SecretKeys::new(STRONG)
                .unwrap()
                .with_fallback("short")
                .is_err()
        );
    }

    #[test]
    fn no_way_leads_to_an_empty_key() {
        for blank in ["", " ", "\t \r\n"] {
            let keys = SecretKeys::new(STRONG).unwrap();
            assert!(SecretKeys::new(blank).is_err(), "{blank:?}");
            assert!(keys.with_fallback(blank).is_err(), "{blank:?}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = SecretKeys::new(STRONG).unwrap();
        assert_eq!(format!("{keys:?}"), "SecretKeys(1)");
    }
}
