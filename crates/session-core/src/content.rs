//! What a session holds: its data, and what the library itself notes about it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{expiry::Millis, payload::Payload};

/// Whether the cookie outlives the browser: Flask's key, with Flask's meaning.
pub(crate) const PERMANENT: &str = "_permanent";
/// The one key that the library keeps for itself, in records of Flask's form.
pub(crate) const RESERVED: &str = "__session";
/// The queued messages: Flask's key, with Flask's meaning.
pub(crate) const FLASHES: &str = "_flashes";

/// What a live session holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) payload: Payload,
    /// Unknown for a session that Flask made.
    pub(crate) created_at: Option<Millis>,
    pub(crate) logged_in_at: Option<Millis>,
    /// Its own idle timeout, where it differs from the application's.
    pub(crate) idle: Option<Duration>,
    pub(crate) owner: Option<Arc<str>>,
    /// How a list of devices names it.
    pub(crate) label: Option<Arc<str>>,
    /// The bytes of its [`Lineage`].
    pub(crate) lineage: Option<[u8; 16]>,
}

impl Content {
    /// Nothing worth a record: a session that merely says it would be permanent does not count.
    pub(crate) fn is_empty(&self) -> bool {
        let permanent = usize::from(self.payload.contains(PERMANENT));
        self.owner.is_none() && self.payload.len() == permanent
    }

    /// Empties the data; what the session is permanent for stays, as in Flask.
    pub(crate) fn clear(&mut self) {
        let permanent = self.payload.value(PERMANENT);
        self.payload.clear();
        if let Some(permanent) = permanent {
            self.payload.insert_value(PERMANENT, permanent);
        }
    }

    /// What the absolute timeout counts from: the last login, or else the creation.
    pub(crate) fn started_at(&self) -> Option<Millis> {
        self.logged_in_at.max(self.created_at)
    }
}

/// What stays when the id changes: it names a session in a list of devices and opens nothing.
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

/// The text is no [`Lineage`].
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

    /// A lineage as it was shown, such as one that comes back from a list of devices.
    fn from_str(text: &str) -> Result<Self, NotALineage> {
        let mut bytes = [0; 18];
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        let bytes = bytes[..decoded.map_err(|_| NotALineage)?].try_into();
        Ok(Self::from_bytes(bytes.map_err(|_| NotALineage)?))
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
