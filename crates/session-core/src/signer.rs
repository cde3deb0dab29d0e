//! Signatures over session ids.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::SecretKeys;

const PURPOSE: &[u8] = b"session-core session cookie, version 1";
const FLASK_SALT: &[u8] = b"flask-session";

/// What a verified cookie value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified<'v> {
    pub(crate) id: &'v str,
    /// Signed with a key that is not the newest: the cookie is due for another signature.
    pub(crate) outdated: bool,
}

/// Signs and verifies the ids of one cookie.
pub(crate) enum Signer {
    /// HMAC-SHA-256 over purpose, cookie name and id.
    Native(Vec<Hmac<Sha256>>),
    /// What itsdangerous makes for Flask-Session: HMAC-SHA-1 over the id, the key derived with a salt.
    Flask(Vec<Hmac<Sha1>>),
}

impl Signer {
    pub(crate) fn native(keys: &SecretKeys, cookie_name: &str) -> Self {
        Self::Native(
            keys.iter()
                .map(|secret| {
                    let derived = Zeroizing::new(mac::<Hmac<Sha256>>(secret, PURPOSE));
                    // The name is a token of RFC 6265 and so holds no NUL.
                    keyed::<Hmac<Sha256>>(&derived)
                        .chain_update(cookie_name)
                        .chain_update([0])
                })
                .collect(),
        )
    }

    pub(crate) fn flask(keys: &SecretKeys) -> Self {
        Self::Flask(
            keys.iter()
                .map(|secret| keyed(&Zeroizing::new(mac::<Hmac<Sha1>>(secret, FLASK_SALT))))
                .collect(),
        )
    }

    /// The cookie's value: the id, a dot and the signature.
    pub(crate) fn sign(&self, id: &str) -> String {
        let mut value = String::with_capacity(id.len() + 44);
        value.push_str(id);
        value.push('.');
        match self {
            Self::Native(keys) => push_signature(&keys[0], id, &mut value),
            Self::Flask(keys) => push_signature(&keys[0], id, &mut value),
        }
        value
    }

    /// The id in `value`, if one of the keys signed it.
    pub(crate) fn verify<'v>(&self, value: &'v str) -> Option<Verified<'v>> {
        let (id, signature) = value.rsplit_once('.')?;
        let mut buffer = [0; 36];
        let len = URL_SAFE_NO_PAD.decode_slice(signature, &mut buffer).ok()?;
        let signature = &buffer[..len];
        let position = match self {
            Self::Native(keys) => position(keys, id, signature),
            Self::Flask(keys) => position(keys, id, signature),
        }?;
        Some(Verified {
            id,
            outdated: position > 0,
        })
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8]) -> M {
    <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    keyed::<M>(key)
        .chain_update(message)
        .finalize()
        .into_bytes()
        .to_vec()
}

fn push_signature<M: Mac + Clone>(key: &M, id: &str, value: &mut String) {
    let tag = key.clone().chain_update(id).finalize().into_bytes();
    URL_SAFE_NO_PAD.encode_string(&tag, value);
}

fn position<M: Mac + Clone>(keys: &[M], id: &str, signature: &[u8]) -> Option<usize> {
    keys.iter()
        .position(|key| key.clone().chain_update(id).verify_slice(signature).is_ok())
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native(_) => "Signer::Native(..)",
            Self::Flask(_) => "Signer::Flask(..)",
        })
    }
}

#[cfg(test)]
mod timing;

#[cfg(test)]
mod tests;
