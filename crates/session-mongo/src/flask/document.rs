use std::time::SystemTime;

use mongodb::bson::{Document, RawDocument, doc};
use session_core::{Error, Loaded, Result, Revision, StoreKey};

use crate::document::{bytes, instant};

pub(super) fn live(key: &StoreKey, now: SystemTime) -> Document {
    doc! { "id": key.as_str(), "expiration": { "$gt": instant(now) } }
}

pub(super) fn decode(document: &RawDocument) -> Result<Loaded> {
    let payload = bytes(document, "val")?;
    let expires_at = document
        .get_datetime("expiration")
        .map_err(Error::corrupt)?;
    Ok(Loaded {
        payload: payload.to_vec(),
        expires_at: expires_at.to_system_time(),
        revision: token(payload),
    })
}

/// The bytes themselves: the layout has no room for a number, and Flask-Session would not count it.
pub(super) fn token(payload: &[u8]) -> Revision {
    Revision::new(payload.to_vec())
}
