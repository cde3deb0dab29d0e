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
mod tests {
    use super::*;

    const OLD: &str = "an older key of some forty characters, 1";
    const NEW: &str = "a newer key of some forty characters, 22";
    const ID: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn native(secret: &str, name: &str) -> Signer {
        Signer::native(&SecretKeys::new(secret).unwrap(), name)
    }

    #[test]
    fn the_signature_of_version_1_stays_what_it_is() {
        // Computed by Python's hmac module.
        let golden = "SVJV03gdjegWLxM5bbW6eFsOPO1wOF0Bf1kUSZ0dIA8";
        assert_eq!(native(NEW, "session").sign(ID), format!("{ID}.{golden}"));
    }

    #[test]
    fn every_changed_character_is_refused() {
        let signer = native(NEW, "session");
        let good = signer.sign(ID);
        assert_eq!(signer.verify(&good).unwrap().id, ID);
        for position in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[position] = if bad[position] == b'B' { b'C' } else { b'B' };
            let bad = String::from_utf8(bad).unwrap();
            assert!(signer.verify(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn another_cookies_signature_is_refused() {
        let other = native(NEW, "lang").sign(ID);
        assert!(native(NEW, "session").verify(&other).is_none());
    }

    #[test]
    fn nothing_but_the_full_signature_is_accepted() {
        let signer = native(NEW, "session");
        let good = signer.sign(ID);
        let flask = Signer::flask(&SecretKeys::new(NEW).unwrap()).sign(ID);
        for bad in [
            ID,
            &format!("{ID}."),
            &format!("{ID}.."),
            &good[..good.len() - 1],
            &format!("{good}="),
            &format!("{good}A"),
            &format!("{good}.AAAA"),
            &flask,
            "",
            ".",
        ] {
            assert!(signer.verify(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_newest_key_signs_and_all_verify() {
        let old = native(OLD, "session");
        let rotated = Signer::native(
            &SecretKeys::new(NEW).unwrap().with_fallback(OLD).unwrap(),
            "session",
        );
        let verdict = rotated.verify(&old.sign(ID).clone()).map(|v| v.outdated);
        assert_eq!(verdict, Some(true));
        assert!(old.verify(&rotated.sign(ID)).is_none());
        let new = native(NEW, "session");
        assert_eq!(
            new.verify(&rotated.sign(ID)).map(|v| v.outdated),
            Some(false)
        );
        assert!(new.verify(&old.sign(ID)).is_none());
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = SecretKeys::new(NEW).unwrap();
        assert_eq!(format!("{:?}", Signer::flask(&keys)), "Signer::Flask(..)");
    }

    #[test]
    fn flasks_signatures_are_reproduced() {
        for (secret, id, cookie) in [
            (
                "s3cr3t",
                ID,
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.Ngdt-PucUh1jWeAbTg8ELtMpq88",
            ),
            (
                "dev",
                "lCBxQhmigcoMD9lqisirUBYtGgxHw4lat3ohLhjKxL0",
                "lCBxQhmigcoMD9lqisirUBYtGgxHw4lat3ohLhjKxL0.GquBOjMuPXP4HekUYhxjmJak8I0",
            ),
            (
                "kéy",
                "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
                "3f2504e0-4f89-41d3-9a0c-0305e82c3301.QdDdwb2LrhPNvVBHB6O4wJKAFro",
            ),
        ] {
            let signer = Signer::flask(&SecretKeys::of_flask(secret).unwrap());
            assert_eq!(signer.sign(id), cookie);
            assert_eq!(signer.verify(cookie).unwrap().id, id);
        }
    }
}
