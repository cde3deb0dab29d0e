//! What Flask takes for an id, a prefix and a secret key.

use zeroize::Zeroizing;

use crate::{
    config::ConfigError,
    id::SessionId,
    key::{KeyPrefix, StoreKey},
    secret_keys::{SecretKeys, is_blank, older, strong},
};

impl SessionId {
    const FLASK_MIN_LEN: usize = 22;
    const FLASK_MAX_LEN: usize = 120;

    /// Takes what Flask-Session may have made: base64url of any length (0.6 and later) or a UUID (0.5).
    ///
    /// With the feature `flask`.
    pub fn from_flask(text: &str) -> Option<Self> {
        let fits = (Self::FLASK_MIN_LEN..=Self::FLASK_MAX_LEN).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self::of(text.to_owned()))
    }
}

impl KeyPrefix {
    /// Checks and takes the prefix of a Flask application, which may be empty: any key of the store that looks like an id
    /// then names a session, as it does in Flask.
    ///
    /// Settings that share no sessions with Flask refuse it. With the feature `flask`.
    ///
    /// # Errors
    ///
    /// If it is longer than 128 bytes, or holds anything but graphic ASCII.
    pub fn of_flask(prefix: &str) -> Result<Self, ConfigError> {
        Self::even_empty(prefix)
    }

    /// The key of the session `id` as Flask-Session writes it: prefix + id.
    ///
    /// With the feature `flask`.
    pub fn plain_key(&self, id: &SessionId) -> StoreKey {
        StoreKey::from_stored([self.as_str(), id.as_str()].concat())
    }
}

impl SecretKeys {
    /// The key that signs, however weak: a running Flask application's key is what it is.
    ///
    /// With the feature `flask`.
    ///
    /// # Errors
    ///
    /// If it is empty or blank: then everybody knows it.
    pub fn of_flask(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let secret = secret.as_ref();
        if is_blank(secret) {
            return Err(ConfigError::new("SECRET_KEY", "must not be empty"));
        }
        if let Err(weakness) = strong("SECRET_KEY", secret) {
            tracing::warn!("{weakness}; used all the same, because the Flask profile shares it");
        }
        Ok(Self(vec![Zeroizing::new(secret.to_vec())]))
    }

    /// Adds an older key, however weak, unless it is empty or blank.
    pub(crate) fn with_flask_fallback(mut self, secret: &str) -> Result<Self, ConfigError> {
        let secret = older(secret.as_bytes())?;
        self.0.push(Zeroizing::new(secret.to_vec()));
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_both_kinds_are_accepted_and_nothing_else() {
        assert!(SessionId::from_flask("3f2504e0-4f89-41d3-9a0c-0305e82c3301").is_some());
        assert!(SessionId::from_flask("lCBxQhmigcoMD9lqisirUBYtGgxHw4lat3ohLhjKxL0").is_some());
        for bad in [
            "short",
            "../../../../etc/passwd/aaaaaaaaaa",
            "a b aaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(SessionId::from_flask(bad).is_none());
        }
    }

    #[test]
    fn a_plain_key_is_the_id_and_shows_nothing() {
        let id = SessionId::from_flask("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let plain = KeyPrefix::default().plain_key(&id);
        assert_eq!(
            plain.as_str(),
            "session:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        assert!(!format!("{plain:?}").contains("AAAA"));
    }

    #[test]
    fn no_way_leads_to_an_empty_key() {
        for blank in ["", " ", "\t \r\n"] {
            let keys = SecretKeys::of_flask("dev").unwrap();
            assert!(SecretKeys::of_flask(blank).is_err(), "{blank:?}");
            assert!(keys.with_flask_fallback(blank).is_err(), "{blank:?}");
        }
    }
}
