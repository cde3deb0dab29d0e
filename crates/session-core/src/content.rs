//! What a record says: the session's data and what the library itself notes about it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::payload::Payload;

/// Whether the cookie outlives the browser: Flask's key, with Flask's meaning.
pub(crate) const PERMANENT: &str = "_permanent";
/// The queued messages: Flask's key, with Flask's meaning.
pub(crate) const FLASHES: &str = "_flashes";

/// What a live session holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) payload: Payload,
    /// When it was created or last logged in to; unknown for a session that Flask made.
    pub(crate) created_at: Option<SystemTime>,
    /// Its own idle timeout, where it differs from the application's.
    pub(crate) idle: Option<Duration>,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) lineage: Option<Lineage>,
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
}

/// What stays when the id changes: it names a session in a list of devices and opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lineage(Arc<str>);

impl Lineage {
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// A lineage as it was shown, such as one that comes back from a list of devices.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The lineage as text, 22 characters of base64url.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
