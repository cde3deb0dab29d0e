//! Flask-Session's records: only the payload. The expiry is outside of the bytes.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    codec::{Stored, Times},
    config::Settings,
    content::{Content, RESERVED},
    error::{Error, Result},
    expiry::{Millis, millis},
    payload::{Format, Payload, Value},
    record::Loaded,
};

/// MessagePack's nil. Flask and this library read it as no session.
const NIL: &[u8] = &[0xc0];

/// What the library stores about a session, under the reserved key. The names are short, because
/// Flask loads and stores them, too.
#[derive(Serialize, Deserialize, Default)]
struct Notes<'a> {
    #[serde(rename = "v")]
    version: u8,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    started: Option<u64>,
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    idle: Option<u64>,
    #[serde(borrow)]
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    owner: Option<Cow<'a, str>>,
    #[serde(borrow)]
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    label: Option<Cow<'a, str>>,
}

const NOTES_VERSION: u8 = 1;

/// The bytes of a record that is no session.
pub(crate) fn nil() -> Bytes {
    Bytes::from_static(NIL)
}

/// Decodes a record. `None` if it is no session.
pub(crate) fn decode(loaded: &Loaded, format: Format) -> Result<Option<Stored>> {
    let Some(mut payload) = Payload::decode(loaded.bytes.clone(), format)? else {
        return Ok(None);
    };
    let notes = payload.remove(RESERVED);
    let notes = match &notes {
        Some(value) => value.decode_borrowed::<Notes<'_>>().ok_or_else(|| {
            Error::corrupt(
                "the record's key `__session` is invalid: did another program change it?",
            )
        })?,
        None => Notes::default(),
    };
    if notes.version > NOTES_VERSION {
        return Err(Error::LaterVersion);
    }
    let content = Content {
        payload,
        created_at: notes.started.map(Millis::new),
        // As in a native record, 0 is no timeout of its own: that session would end at once.
        idle: notes
            .idle
            .filter(|idle| *idle > 0)
            .map(Duration::from_millis),
        provider_session: None,
        device: None,
        flask_cookie: None,
        owner: notes.owner.map(Arc::from),
        authenticated_at: None,
        label: notes.label.map(Arc::from),
        lineage: None,
    };
    let times = Times {
        expires_at: loaded.expires_at.map(Millis::from),
        ..Times::default()
    };
    Ok(Some(Stored::Live(content, times, loaded.bytes.clone())))
}

/// The bytes of a live session. `encoded` are the loaded bytes, if nothing changed since.
pub(crate) fn live(
    settings: &Settings,
    content: &Content,
    encoded: Option<&Bytes>,
) -> Result<Bytes> {
    if let Some(encoded) = encoded {
        return Ok(encoded.clone());
    }
    let format = settings.format;
    let nothing_to_note = settings.absolute_timeout.is_none()
        && content.owner.is_none()
        && content.idle.is_none()
        && content.label.is_none();
    if nothing_to_note {
        return Ok(content.payload.encode(format)?.into());
    }
    let notes = Notes {
        version: NOTES_VERSION,
        started: content.started_at().map(Millis::get),
        idle: content.idle.map(millis),
        owner: content.owner.as_deref().map(Cow::Borrowed),
        label: content.label.as_deref().map(Cow::Borrowed),
    };
    let notes = Value::encode(&notes, format)?;
    let bytes = content
        .payload
        .encode_with(Some((RESERVED, &notes)), format)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec, key::StoreKey, record::Revision};

    fn decoded(bytes: impl Into<Bytes>) -> Result<Option<Stored>> {
        let loaded = Loaded {
            bytes: bytes.into(),
            revision: Revision::from(1),
            expires_at: None,
        };
        decode(&loaded, Format::MessagePack)
    }

    #[test]
    fn what_is_not_flasks_is_corrupt() {
        let flask = b"\x82\xaa_permanent\xc3\xa1a\xa1x".to_vec();
        assert!(matches!(decoded(flask), Ok(Some(Stored::Live(..)))));
        for bad in [&b"\x81"[..], b"\xff", b"garbage", b"\x81\xa9__session\xa1x"] {
            assert!(decoded(bad.to_vec()).is_err(), "{bad:?}");
        }
        // Otherwise somebody who reads the store could use the key of a native record as an id of
        // Flask's.
        let key = StoreKey::from_stored(format!("session:{}", "0".repeat(64)));
        let content = Content::default();
        let native = codec::live(&key, &content, &Times::default(), [7; 8], None, None)
            .unwrap()
            .0;
        assert!(decoded(native).is_err());
    }

    #[test]
    fn an_idle_timeout_of_zero_is_none_of_its_own() {
        let record = b"\x81\xa9__session\x82\xa1v\x01\xa1i\x00";
        match decoded(record.to_vec()) {
            Ok(Some(Stored::Live(content, ..))) => assert_eq!(content.idle, None),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flask_sees_nothing_of_ours_unless_it_is_used() {
        let mut plain = Content::default();
        plain
            .payload
            .insert_value("a", Value::encode("x", Format::MessagePack).unwrap());
        assert_eq!(
            live(&Settings::flask(), &plain, None).unwrap(),
            &b"\x81\xa1a\xa1x"[..]
        );
        assert!(decoded(nil()).unwrap().is_none());
    }
}
