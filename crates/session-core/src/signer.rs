//! Signs session ids for the cookie, and verifies them.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::SecretKeys;

const PURPOSE: &[u8] = b"session-core session cookie, version 1";

/// A verified cookie value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified<'v> {
    pub(crate) id: &'v str,
    /// Whether an older key signed it. Then the cookie is due for a new signature.
    pub(crate) outdated: bool,
}

/// Signs and verifies the ids of one cookie.
pub(crate) struct Signer<M>(Vec<M>);

impl Signer<Hmac<Sha256>> {
    /// HMAC-SHA-256 over purpose, cookie name and id.
    pub(crate) fn native(keys: &SecretKeys, cookie_name: &str) -> Self {
        // The name is a token of RFC 6265 and so holds no NUL.
        Self::derived(keys, PURPOSE, |key| {
            key.chain_update(cookie_name).chain_update([0])
        })
    }
}

impl<M: Mac + KeyInit + Clone> Signer<M> {
    /// Derives signing keys from `keys` for `purpose`. `begin` adds what each message begins with.
    pub(crate) fn derived(keys: &SecretKeys, purpose: &[u8], begin: impl Fn(M) -> M) -> Self {
        let key = |secret| {
            let derived = Zeroizing::new(mac::<M>(secret, purpose));
            begin(keyed(&derived))
        };
        Self(keys.iter().map(key).collect())
    }

    /// The cookie's value: the id, a dot and the signature.
    pub(crate) fn sign(&self, id: &str) -> String {
        let mut value = String::with_capacity(id.len() + 44);
        value.push_str(id);
        value.push('.');
        let tag = self.0[0].clone().chain_update(id).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode_string(&tag, &mut value);
        value
    }

    /// Like the method before, but without a signer the id stays unsigned.
    pub(crate) fn signed<'i>(signer: Option<&Self>, id: &'i str) -> Cow<'i, str> {
        signer.map_or(Cow::Borrowed(id), |signer| signer.sign(id).into())
    }

    /// The id in `value`, if one of the keys signed it.
    pub(crate) fn verify<'v>(&self, value: &'v str) -> Option<Verified<'v>> {
        let (id, signature) = value.rsplit_once('.')?;
        let mut buffer = [0; 36];
        let len = URL_SAFE_NO_PAD.decode_slice(signature, &mut buffer).ok()?;
        let signed = |key: &M| {
            let tag = key.clone().chain_update(id);
            tag.verify_slice(&buffer[..len]).is_ok()
        };
        let position = self.0.iter().position(signed)?;
        Some(Verified {
            id,
            outdated: position > 0,
        })
    }

    /// Like the method before, but without a signer the id stays unsigned.
    pub(crate) fn verified<'v>(signer: Option<&Self>, value: &'v str) -> Option<Verified<'v>> {
        match signer {
            Some(signer) => signer.verify(value),
            None => Some(Verified {
                id: value,
                outdated: false,
            }),
        }
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("HMAC takes keys of any length")
}

pub(crate) fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    keyed::<M>(key)
        .chain_update(message)
        .finalize()
        .into_bytes()
        .to_vec()
}

impl<M> fmt::Debug for Signer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

#[cfg(test)]
mod timing;

#[cfg(test)]
mod tests;
