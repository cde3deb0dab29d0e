//! Encryption of what sessions hold, before a store sees it; only with the feature `encryption`.
//!
//! AES-256-GCM-SIV (RFC 8452). The nonce is the write tag of the record's header, which is random in
//! each write, and four bytes of the lineage. If two writes ever had the same
//! nonce, that would tell whether they hold the same, and nothing else. The associated data are the
//! whole header and the store key: neither opens under another one.

use std::fmt;

use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce, Tag};
use bytes::Bytes;
use hmac::Hmac;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    config::ConfigError,
    error::{Error, Result},
    header::nonce,
    key::StoreKey,
    secret_keys::{refuse_comma, strong},
    signer::mac,
};

const PURPOSE: &[u8] = b"session-core payload encryption, version 1";
const NAME: &[u8] = b"session-core name of an encryption key, version 1";
const TAG: usize = 16;

/// What names a key in a record, so that no other key is tried.
type KeyName = [u8; 4];

/// Keys that encrypt what sessions hold, before a store sees it. The newest key encrypts; all keys
/// decrypt.
///
/// With the feature `encryption`. `Debug` shows only how many there are. The memory is wiped on
/// drop.
#[derive(Clone)]
pub struct EncryptionKeys {
    /// The newest first.
    keys: Vec<Key>,
    accepts_plain: bool,
}

#[derive(Clone)]
struct Key {
    name: KeyName,
    cipher: Aes256GcmSiv,
}

impl EncryptionKeys {
    /// The key that encrypts. Every byte belongs to it, also a comma. But
    /// `SESSION_ENCRYPTION_KEY_FALLBACKS` is split at commas.
    ///
    /// # Errors
    ///
    /// As [`SecretKeys::new`](crate::SecretKeys::new).
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let secret = strong("SESSION_ENCRYPTION_KEY", secret.as_ref())?;
        Ok(Self {
            keys: vec![Key::derived(&secret)],
            accepts_plain: false,
        })
    }

    /// Adds another key, which decrypts but never encrypts: an older one, or one that another
    /// process has already.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_fallback(mut self, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let secret = strong("SESSION_ENCRYPTION_KEY_FALLBACKS", secret.as_ref())?;
        self.keys.push(Key::derived(&secret));
        Ok(self)
    }

    /// Whether sessions that are not encrypted are read, too; their next write encrypts them. By
    /// default their records are treated as damaged, because whoever can write to the store could
    /// place them there.
    #[must_use]
    pub fn accepting_plain(mut self, accepts: bool) -> Self {
        self.accepts_plain = accepts;
        self
    }

    /// The key that encrypts, from the environment.
    pub(crate) fn from_env_text(secret: &str) -> Result<Self, ConfigError> {
        refuse_comma("SESSION_ENCRYPTION_KEY", secret)?;
        Self::new(secret.trim_ascii())
    }

    pub(crate) fn accepts_plain(&self) -> bool {
        self.accepts_plain
    }

    /// Whether the newest key has encrypted what begins so.
    pub(crate) fn is_of_newest(&self, encrypted: &[u8]) -> bool {
        encrypted.starts_with(&self.keys[0].name)
    }

    /// Appends the encrypted `payload` to `record`, which is the header.
    pub(crate) fn encrypt(
        &self,
        key: &StoreKey,
        record: &mut Vec<u8>,
        payload: &[u8],
    ) -> Result<()> {
        let newest = &self.keys[0];
        let (nonce, associated) = (Nonce::from(nonce(record)), associated(record, key));
        record.reserve(newest.name.len() + payload.len() + TAG);
        record.extend(newest.name);
        let begin = record.len();
        record.extend(payload);
        let text = record[begin..].as_mut().into();
        let tag = newest
            .cipher
            .encrypt_inout_detached(&nonce, &associated, text)
            .map_err(|_| Error::encode("the session is too large to be encrypted"))?;
        record.extend(tag);
        Ok(())
    }

    /// The payload of `record`, which begins with a header of so many bytes.
    pub(crate) fn decrypt(&self, key: &StoreKey, record: &[u8], header: usize) -> Result<Bytes> {
        let (header, rest) = record.split_at(header);
        let parts = rest
            .split_first_chunk()
            .and_then(|(name, rest)| Some((name, rest.split_last_chunk::<TAG>()?)));
        let Some((name, (text, tag))) = parts else {
            return Err(Error::corrupt("the encrypted payload is cut short"));
        };
        let Some(key_of_record) = self.keys.iter().find(|it| it.name == *name) else {
            return Err(Error::UnknownEncryptionKey);
        };
        let (nonce, tag) = (Nonce::from(nonce(header)), Tag::from(*tag));
        let mut payload = text.to_vec();
        key_of_record
            .cipher
            .decrypt_inout_detached(
                &nonce,
                &associated(header, key),
                payload.as_mut_slice().into(),
                &tag,
            )
            .map_err(|_| Error::corrupt("the encrypted payload or its header was changed"))?;
        Ok(payload.into())
    }
}

impl Key {
    fn derived(secret: &[u8]) -> Self {
        let key = Zeroizing::new(mac::<Hmac<Sha256>>(secret, PURPOSE));
        let mut name = KeyName::default();
        let digest = mac::<Hmac<Sha256>>(secret, NAME);
        name.copy_from_slice(&digest[..size_of::<KeyName>()]);
        Self {
            name,
            cipher: Aes256GcmSiv::new_from_slice(&key).expect("HMAC-SHA-256 returns 32 bytes"),
        }
    }
}

fn associated(header: &[u8], key: &StoreKey) -> Vec<u8> {
    [header, key.as_str().as_bytes()].concat()
}

impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKeys({})", self.keys.len())
    }
}

#[cfg(test)]
mod tests;
