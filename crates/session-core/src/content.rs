//! The content of a live session: its data, and what the library stores about it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    expiry::Millis,
    header::DeviceField,
    key::{CookieDigest, SidDigest},
    payload::Payload,
};

/// Whether the cookie outlives the browser. Key and meaning are Flask's.
pub(crate) const PERMANENT: &str = "_permanent";
/// The key that the library reserves for itself, in records of Flask's form.
pub(crate) const RESERVED: &str = "__session";
/// The queued flash messages. Key and meaning are Flask's.
pub(crate) const FLASHES: &str = "_flashes";

/// The content of a live session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) payload: Payload,
    /// Unknown for a session that Flask made.
    pub(crate) created_at: Option<Millis>,
    /// The last login or reauthentication.
    pub(crate) authenticated_at: Option<Millis>,
    /// The session's own idle timeout, if it has one.
    pub(crate) idle: Option<Duration>,
    pub(crate) owner: Option<Arc<str>>,
    /// The identity provider's session that it belongs to.
    pub(crate) provider_session: Option<Arc<SidDigest>>,
    /// The session's name in a list of devices.
    pub(crate) label: Option<Arc<str>>,
    /// The device that it is bound to.
    pub(crate) device: Option<Arc<DeviceField>>,
    /// The digest of the cookie of Flask's built-in session that it was started from, if that had no
    /// user. It is kept without the Cargo feature, too.
    pub(crate) flask_cookie: Option<CookieDigest>,
    /// The bytes of its [`Lineage`].
    pub(crate) lineage: Option<[u8; 16]>,
}

impl Content {
    /// Whether the session needs no record. The mark that it is permanent does not count.
    pub(crate) fn is_empty(&self) -> bool {
        let permanent = usize::from(self.payload.contains(PERMANENT));
        self.owner.is_none() && self.payload.len() == permanent
    }

    /// Removes the data. The mark that the session is permanent stays, as in Flask.
    pub(crate) fn clear(&mut self) {
        let permanent = self.payload.value(PERMANENT);
        self.payload.clear();
        if let Some(permanent) = permanent {
            self.payload.insert_value(PERMANENT, permanent);
        }
    }

    /// When the absolute timeout starts: at the last login or reauthentication, or else at the
    /// creation.
    pub(crate) fn started_at(&self) -> Option<Millis> {
        self.authenticated_at.max(self.created_at)
    }
}

/// A random value that names a session before and after renewals, such as in a list of devices. It
/// gives no access to the session.
///
/// It is written and parsed as 22 characters of base64url. So a handler can take it from a path or
/// a form as `web::Path<Lineage>` or `web::Form<..>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lineage([u8; Lineage::LEN]);

impl Lineage {
    /// The length of its text.
    const LEN: usize = 22;

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let mut text = [0; Self::LEN];
        URL_SAFE_NO_PAD
            .encode_slice(bytes, &mut text)
            .expect("16 bytes are 22 characters");
        Self(text)
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 18];
        let decoded = URL_SAFE_NO_PAD.decode_slice(self.0, &mut bytes);
        debug_assert_eq!(decoded, Ok(16), "a lineage is checked when it is made");
        let mut lineage = [0; 16];
        lineage.copy_from_slice(&bytes[..16]);
        lineage
    }

    /// The lineage as text, 22 characters of base64url.
    #[expect(clippy::missing_panics_doc, reason = "base64url is ASCII")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64url is ASCII")
    }
}

/// The error of a text that is not a [`Lineage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotALineage;

impl fmt::Display for NotALineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lineage is 22 characters of base64url")
    }
}

impl std::error::Error for NotALineage {}

impl FromStr for Lineage {
    type Err = NotALineage;

    /// Parses a lineage, such as one that a form for a list of devices sends back.
    fn from_str(text: &str) -> Result<Self, NotALineage> {
        let mut bytes = [0; 18];
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        let bytes = bytes[..decoded.map_err(|_| NotALineage)?].try_into();
        Ok(Self::from_bytes(bytes.map_err(|_| NotALineage)?))
    }
}

impl Serialize for Lineage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Lineage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lineage({})", self.as_str())
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
