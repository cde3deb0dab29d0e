//! Reads Flask's signed cookie as itsdangerous does: its signature, its age and its text.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use sha2::{Digest, Sha256};

use super::{FlaskCookie, values};
use crate::{
    config::Settings,
    cookie,
    expiry::Millis,
    flask::Signer,
    header::MAX_OWNER,
    id::SessionId,
    key::CookieDigest,
    payload::{Dynamic, Reason},
    rules::Rules,
};

const SALT: &[u8] = b"cookie-session";
const PURPOSE: &[u8] = b"session-core session of a Flask cookie, version 1";

/// The longest value that is read. Browsers keep cookies of up to 4,096 bytes.
const MAX_VALUE: usize = 16 * 1024;

/// The longest text that is read: zlib makes a thousandth of some.
const MAX_TEXT: usize = 1 << 20;

/// How many cookies of Flask's name are considered.
const MAX_COOKIES: usize = 4;

/// How far Flask's clock may be ahead of or behind this process's.
pub(super) const CLOCK_TOLERANCE: u64 = 3;

/// The values of Flask's cookie that a request presents.
#[derive(Debug, Default)]
pub(crate) struct PresentedCookies(Vec<Box<str>>);

/// A cookie that Flask signed, and would accept.
pub(crate) struct SignedCookie {
    value: Box<str>,
    /// When, in seconds since 1970.
    pub(super) signed_at: u64,
    pub(super) values: Vec<(String, Dynamic)>,
    pub(super) user: Option<String>,
}

impl PresentedCookies {
    /// Notes the cookies of a `Cookie` header. Does nothing if the settings do not ask for them.
    pub(crate) fn note(&mut self, header: &[u8], rules: &Rules) {
        let Some(flask) = &rules.settings.flask.cookie else {
            return;
        };
        if rules.settings.id_header.is_some() {
            return;
        }
        let texts = cookie::values(header, &flask.attributes.name)
            .filter(|value| value.len() <= MAX_VALUE)
            .filter_map(|value| std::str::from_utf8(value).ok());
        let room = MAX_COOKIES - self.0.len();
        self.0.extend(texts.take(room).map(Box::from));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that Flask would accept.
    pub(super) fn accepted(
        self,
        flask: &FlaskCookie,
        now: Millis,
    ) -> impl Iterator<Item = SignedCookie> {
        let signer = Signer::derived(&flask.keys, SALT, |key| key);
        self.0
            .into_iter()
            .filter_map(move |value| SignedCookie::verified(value, &signer, flask, now))
    }
}

impl SignedCookie {
    fn verified(
        value: Box<str>,
        signer: &Signer,
        flask: &FlaskCookie,
        now: Millis,
    ) -> Option<Self> {
        let verified = signer.verify(&value)?;
        let (text, time) = verified.id.rsplit_once('.')?;
        let signed_at = seconds(time)?;
        let now = now.seconds();
        let is_from_later = signed_at > now + CLOCK_TOLERANCE;
        if is_from_later || now.saturating_sub(signed_at) > flask.lifetime.as_secs() {
            return None;
        }
        let values = match values_in(text) {
            Ok(values) => values,
            Err(reason) => {
                tracing::warn!(
                    reason,
                    "a session cookie that Flask signed cannot be read, so it starts no session"
                );
                return None;
            }
        };
        // Of several, the last counts, as in Python.
        let user = values.iter().rfind(|(key, _)| **key == *flask.user_key);
        Some(Self {
            user: user.and_then(|(_, value)| name_of(value)),
            signed_at,
            values,
            value,
        })
    }

    /// The id of the session that the cookie of a user starts. Each request with the cookie gets the
    /// same one, in every process, and nobody can tell it without the cookie.
    ///
    /// The cookies of two visitors without a user may be equal, so each request gets another id.
    pub(super) fn session_id(&self, settings: &Settings) -> SessionId {
        let bytes = settings.id_bytes;
        let purpose = [PURPOSE, settings.cookie.name.as_bytes()];
        match self.user {
            Some(_) => SessionId::made(self.value.as_bytes(), &purpose, bytes),
            None => SessionId::random(bytes),
        }
    }

    /// What names the cookie in a note: the whole of it, or the digest that its session has.
    pub(super) fn name(&self) -> Cow<'_, [u8]> {
        match self.digest() {
            None => self.value.as_bytes().into(),
            Some(digest) => digest.to_vec().into(),
        }
    }

    /// The digest for the session of a visitor without a user, whose log-out is to be noted. A
    /// user's cookie is noted when its session starts.
    pub(super) fn digest(&self) -> Option<CookieDigest> {
        if self.user.is_some() {
            return None;
        }
        let digest = Sha256::digest(self.value.as_bytes());
        digest.first_chunk().copied()
    }
}

/// The big-endian number in base64url.
fn seconds(time: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(time).ok()?;
    let mut number = [0; 8];
    let start = number.len().checked_sub(bytes.len())?;
    number[start..].copy_from_slice(&bytes);
    // As milliseconds it must fit, too.
    let seconds = u64::from_be_bytes(number);
    seconds.checked_mul(1000).map(|_| seconds)
}

/// The values in the signed text, which begins with a dot if it is compressed.
fn values_in(text: &str) -> Result<Vec<(String, Dynamic)>, Reason> {
    let (encoded, is_compressed) = match text.strip_prefix('.') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let bytes = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| "it is not base64")?;
    let json = if is_compressed {
        decompress_to_vec_zlib_with_limit(&bytes, MAX_TEXT)
            .map_err(|_| "it is not zlib's, or longer than 1 MiB")?
    } else {
        bytes
    };
    values::read(&json)
}

/// The user's name in a value, if it can be an owner's.
fn name_of(user: &Dynamic) -> Option<String> {
    match user {
        Dynamic::Text(name) if (1..=MAX_OWNER).contains(&name.len()) => Some(name.clone()),
        Dynamic::Int(number) => Some(number.to_string()),
        Dynamic::UInt(number) => Some(number.to_string()),
        _ => None,
    }
}
