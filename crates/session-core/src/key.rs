//! Store keys: the names under which stores keep records and the lists of an owner's sessions.

use std::{fmt, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{config::ConfigError, id::SessionId};

/// The prefix of every key. It separates this application's sessions from everything else in the
/// store.
///
/// It has 1 to 128 graphic ASCII characters, so that every key is valid in every store. It may be
/// empty only if a Flask application that shares the store has an empty one. It does not end with
/// `logins:`, because another application's prefix may be what is before that. Defaults to
/// `session:`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPrefix(Box<str>);

impl KeyPrefix {
    /// The longest prefix, in bytes.
    pub const MAX_LEN: usize = 128;

    /// A prefix, if it is valid.
    ///
    /// # Errors
    ///
    /// If it is empty, longer than 128 bytes, has other characters than graphic ASCII, or ends with
    /// `logins:`.
    pub fn new(prefix: &str) -> Result<Self, ConfigError> {
        let prefix = Self::allowing_empty(prefix)?;
        prefix.refuse_empty()?;
        Ok(prefix)
    }

    /// Like [`new`](Self::new), but `prefix` may be empty. The check of the settings refuses that
    /// if no sessions are shared with Flask.
    pub(crate) fn allowing_empty(prefix: &str) -> Result<Self, ConfigError> {
        if prefix.len() > Self::MAX_LEN {
            return Err(length_error());
        }
        if !prefix.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ConfigError::new(
                "SESSION_KEY_PREFIX",
                "must consist of graphic ASCII characters: letters, digits and punctuation, no spaces",
            ));
        }
        if prefix.ends_with(LOGINS) {
            return Err(ConfigError::new(
                "SESSION_KEY_PREFIX",
                "must not end with logins: because the keys of sessions would look like those of \
                 another application's records of logins",
            ));
        }
        Ok(Self(prefix.into()))
    }

    pub(crate) fn refuse_empty(&self) -> Result<(), ConfigError> {
        if self.0.is_empty() {
            return Err(length_error());
        }
        Ok(())
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of the session `id`: prefix + SHA-256 of the id in hexadecimal.
    ///
    /// Somebody who reads the store cannot make a cookie from it (CVE-2019-16782).
    pub fn hashed_key(&self, id: &SessionId) -> StoreKey {
        StoreKey(hex_after(&self.0, id.as_str().as_bytes()))
    }

    /// The key of the list of `owner`'s sessions: prefix + `owner:` + SHA-256 of the name in
    /// hexadecimal.
    pub fn owner_key(&self, owner: &str) -> OwnerKey {
        OwnerKey(hex_after(&format!("{}owner:", self.0), owner.as_bytes()))
    }

    /// The key of the list of the sessions that belong to an identity provider's session `sid`:
    /// prefix + `sid:` + SHA-256 of the name in hexadecimal.
    pub fn provider_session_key(&self, sid: &str) -> OwnerKey {
        self.key_of_sid(&digest_of_sid(sid))
    }

    /// What the keys of records begin with, each before 64 hexadecimal digits: the prefix in those of
    /// sessions, and `logins:` after it in those of the records of logins.
    pub fn record_starts(&self) -> [String; 2] {
        [self.0.to_string(), format!("{}{LOGINS}", self.0)]
    }

    /// Whether this prefix makes such a key for a record. A key of `session:b:` is none of
    /// `session:`.
    pub fn is_of_record(&self, key: &str) -> bool {
        let Some(rest) = key.strip_prefix(&*self.0) else {
            return false;
        };
        let digest = rest.strip_prefix(LOGINS).unwrap_or(rest);
        digest.len() == 64
            && digest
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// The same, of the [digest](digest_of_sid).
    pub(crate) fn key_of_sid(&self, digest: &SidDigest) -> OwnerKey {
        let digest = hex(digest, &mut [0; 64]).to_owned();
        OwnerKey(format!("{}{SID}{digest}", self.0).into())
    }
}

impl StoreKey {
    /// The prefix that made the key of a session's record.
    pub(crate) fn prefix(&self) -> Option<KeyPrefix> {
        let prefix = self.0.get(..self.0.len().checked_sub(64)?)?;
        Some(KeyPrefix(prefix.into()))
    }

    /// Whether it is the key of the record of an owner's logins.
    pub(crate) fn is_of_logins(&self) -> bool {
        let digest = self.0.len().saturating_sub(64);
        self.0.get(..digest).is_some_and(|it| it.ends_with(LOGINS))
    }
}

impl OwnerKey {
    /// Whether it is the key of an identity provider's session, and not that of an owner.
    pub fn is_provider_session(&self) -> bool {
        let digest = self.0.len().saturating_sub(2 * 32);
        self.0.get(..digest).is_some_and(|it| it.ends_with(SID))
    }
}

/// What stands before the digest in the key of an identity provider's session. No key of an owner
/// has it there.
const SID: &str = "sid:";
/// The same in the key of a record of logins.
const LOGINS: &str = "logins:";

/// The SHA-256 of an identity provider's session `sid`. This is what a record has of it.
pub(crate) type SidDigest = [u8; 32];

/// The beginning of the SHA-256 of a cookie of Flask's built-in session: as much as the longest header
/// has room for. If two cookies had the same, the log-out of one would be that of both.
pub(crate) type CookieDigest = [u8; 5];

pub(crate) fn digest_of_sid(sid: &str) -> SidDigest {
    Sha256::digest(sid).into()
}

impl KeyPrefix {
    /// The key of the record that names the latest logins of `owner`, if their number is limited:
    /// prefix + `logins:` + SHA-256 of the name in hexadecimal.
    pub(crate) fn logins_key(&self, owner: &str) -> StoreKey {
        StoreKey(hex_after(&format!("{}{LOGINS}", self.0), owner.as_bytes()))
    }

    /// The key of a note about `name`. `kind` has a space, so no id has this digest.
    #[cfg(feature = "flask-cookie")]
    pub(crate) fn note_key(&self, kind: &str, name: &[u8]) -> StoreKey {
        debug_assert!(kind.contains(' '));
        StoreKey(hex_after(&self.0, &[kind.as_bytes(), &[0], name].concat()))
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("session:".into())
    }
}

fn length_error() -> ConfigError {
    ConfigError::new(
        "SESSION_KEY_PREFIX",
        "must have 1 to 128 characters; it may be empty only if a Flask application's sessions are shared, with the Cargo \
         feature `flask`",
    )
}

/// `prefix`, of up to 192 bytes, and the SHA-256 of `secret`. In one allocation.
fn hex_after(prefix: &str, secret: &[u8]) -> Arc<str> {
    let mut text = [0; 192 + 64];
    let (start, digest) = text.split_at_mut(prefix.len());
    start.copy_from_slice(prefix.as_bytes());
    hex(&Sha256::digest(secret), &mut digest[..64]);
    let text = &text[..prefix.len() + 64];
    std::str::from_utf8(text).expect("a prefix is ASCII").into()
}

/// `bytes` in hexadecimal. `buffer` must be twice as long.
pub(crate) fn hex<'r>(bytes: &[u8], buffer: &'r mut [u8]) -> &'r str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in buffer.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(buffer).expect("digits are ASCII")
}

macro_rules! opaque_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a key that this library made, such as one read back from a store's index.
            pub fn from_stored(key: impl Into<Arc<str>>) -> Self {
                Self(key.into())
            }

            /// The key as the store sees it: 1 to 250 graphic ASCII characters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            /// Shows four bytes of the key's digest. They are enough to match two lines of a log,
            /// and open nothing.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digest = Sha256::digest(self.0.as_bytes());
                let mut buffer = [0; 8];
                write!(f, concat!(stringify!($name), "(#{})"), hex(&digest[..4], &mut buffer))
            }
        }
    };
}

opaque_key! {
    /// The key of a record. [`KeyPrefix`] makes it, never a store.
    StoreKey
}
opaque_key! {
    /// The key of the list of an owner's sessions, or of those that belong to an identity provider's
    /// session. [`KeyPrefix`] makes it, never a store.
    OwnerKey
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_1_to_128_graphic_characters() {
        for bad in [
            "",
            "a b",
            "a\n",
            "é",
            "a\0",
            "logins:",
            "a:logins:",
            &"x".repeat(129),
        ] {
            assert!(KeyPrefix::new(bad).is_err(), "{bad:?}");
        }
        assert!(KeyPrefix::new(&"x".repeat(128)).is_ok());
    }

    #[test]
    fn an_owner_is_no_session_of_a_provider() {
        for prefix in ["session:", "sid:", "owner:"] {
            let prefix = KeyPrefix::new(prefix).unwrap();
            let (owner, sid) = (prefix.owner_key("a"), prefix.provider_session_key("a"));
            assert_ne!(owner, sid);
            assert!(sid.is_provider_session() && !owner.is_provider_session());
        }
        assert!(!OwnerKey::from_stored("sid:").is_provider_session());
    }

    #[test]
    fn a_prefix_knows_the_keys_of_its_records() {
        let id = SessionId::random(32);
        for text in ["session:", "logins", "a"] {
            let prefix = KeyPrefix::new(text).unwrap();
            let longer = KeyPrefix::new(&format!("{text}b:")).unwrap();
            for key in [prefix.hashed_key(&id), prefix.logins_key("ada")] {
                assert!(prefix.is_of_record(key.as_str()));
                assert!(!longer.is_of_record(key.as_str()));
                let starts = prefix.record_starts();
                assert!(starts.iter().any(|it| {
                    key.as_str()
                        .strip_prefix(&**it)
                        .is_some_and(|it| it.len() == 64)
                }));
            }
            for other in [longer.hashed_key(&id), longer.logins_key("ada")] {
                assert!(!prefix.is_of_record(other.as_str()));
            }
            assert!(!prefix.is_of_record(prefix.owner_key("ada").as_str()));
            assert!(!prefix.is_of_record(prefix.provider_session_key("sid").as_str()));
            assert!(!prefix.is_of_record(&prefix.hashed_key(&id).as_str().to_uppercase()));
        }
    }

    #[test]
    fn keys_hold_no_id_and_show_nothing() {
        let id = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let id = SessionId::from_native(id, 32).unwrap();
        let key = KeyPrefix::default().hashed_key(&id);
        assert_eq!(key.as_str().len(), 8 + 64);
        assert!(!key.as_str().contains("AAAA"));
        assert!(!format!("{key:?}").contains(&key.as_str()[8..16]));
    }
}
