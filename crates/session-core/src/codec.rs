//! Records as bytes: a live session, or the tombstone of one that was renewed or ended.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    content::Content,
    error::{Error, Result},
    expiry::{Millis, millis},
    header::{Header, Kind, MAX_OWNER, binding, payload_offset},
    key::StoreKey,
    payload::{Format, Payload, Value},
    record::Loaded,
};

/// The one key that the library keeps for itself, in records of Flask's form.
pub(crate) const RESERVED: &str = "__session";

/// MessagePack's nil: no session, to Flask as to this library.
const NIL: &[u8] = &[0xc0];

/// How a record is keyed and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A header and a payload; the key holds a digest of the id.
    Native,
    /// Flask-Session's: the payload alone; the key holds the id.
    Flask,
}

/// What a record's bytes say.
#[derive(Debug)]
pub(crate) enum Stored {
    /// With its payload as it is encoded.
    Live(Content, Times, Bytes),
    /// Renewed: the session goes on under another key. Requests that arrive heed it until then.
    Forwarded(StoreKey, Millis),
    Ended,
}

/// The instants of a live record that its writes move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// The session's end as its last write computed it; unknown where Flask's layout does not tell it.
    pub(crate) expires_at: Option<Millis>,
    pub(crate) used_at: Option<Millis>,
    /// The end of the cookie last sent, if it has one of its own.
    pub(crate) cookie_until: Option<Millis>,
    /// The time of the entry in the owner's index.
    pub(crate) indexed_until: Option<Millis>,
}

/// What Flask's form keeps of a session under the reserved key, where there is anything to keep; short names, because
/// Flask carries them along.
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

/// Reads and writes records of one form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codec {
    pub(crate) form: Form,
    pub(crate) format: Format,
    /// Whether sessions of Flask's form without an owner or a lifetime of their own still carry when they began.
    pub(crate) dated: bool,
}

impl Codec {
    /// What `loaded`, found under `key`, says; `None` if it says that there is no session.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if no session of this form was written so under this key, [`Error::LaterVersion`] if a later
    /// release of this library wrote it.
    pub(crate) fn decode(self, key: &StoreKey, loaded: &Loaded) -> Result<Option<Stored>> {
        match self.form {
            Form::Native => native(key, &loaded.bytes).map(Some),
            Form::Flask => self.flask(loaded),
        }
    }

    /// The bytes of a live session under `key`; `encoded` is its payload, if that did not change since it was loaded.
    pub(crate) fn live(
        self,
        key: &StoreKey,
        content: &Content,
        times: &Times,
        write_tag: [u8; 8],
        encoded: Option<&Bytes>,
    ) -> Result<Bytes> {
        // Flask's form may hold a longer one, which is no owner of a native record.
        if self.form == Form::Native
            && content
                .owner
                .as_ref()
                .is_some_and(|it| it.len() > MAX_OWNER)
        {
            return Err(Error::OwnerTooLong { limit: MAX_OWNER });
        }
        let payload = match (encoded, self.form) {
            (Some(encoded), _) => encoded.clone(),
            (None, Form::Flask) => self.live_of_flask(content)?.into(),
            (None, Form::Native) => content.payload.encode(Format::MessagePack)?.into(),
        };
        if self.form == Form::Flask {
            return Ok(payload);
        }
        let mut bytes = Header {
            expires_at: times.expires_at.unwrap_or_default(),
            used_at: times.used_at.unwrap_or_default(),
            cookie_until: times.cookie_until,
            indexed_until: times.indexed_until,
            ..header(key, content, write_tag)
        }
        .write(payload.len());
        bytes.extend_from_slice(&payload);
        Ok(bytes.into())
    }

    /// The bytes of the tombstone of a session: renewed, if it has a successor, or ended.
    pub(crate) fn tombstone(
        self,
        key: &StoreKey,
        content: &Content,
        successor: Option<&StoreKey>,
        until: Millis,
        write_tag: [u8; 8],
    ) -> Bytes {
        if self.form == Form::Flask {
            return Bytes::from_static(NIL);
        }
        let header = Header {
            kind: if successor.is_some() {
                Kind::Forwarded
            } else {
                Kind::Ended
            },
            expires_at: until,
            label: None,
            successor: successor.map(StoreKey::as_str),
            ..header(key, content, write_tag)
        };
        header.write(0).into()
    }

    /// The payload in the bytes of a live record.
    pub(crate) fn payload_in(self, bytes: &Bytes) -> Bytes {
        match self.form {
            Form::Native => bytes.slice(payload_offset(bytes).min(bytes.len())..),
            Form::Flask => bytes.clone(),
        }
    }

    /// The bytes that stand for no session in Flask's form.
    pub(crate) fn nil() -> Bytes {
        Bytes::from_static(NIL)
    }

    fn flask(self, loaded: &Loaded) -> Result<Option<Stored>> {
        let Some(mut payload) = Payload::decode(loaded.bytes.clone(), self.format)? else {
            return Ok(None);
        };
        let notes = payload.remove(RESERVED);
        let notes = match &notes {
            Some(value) => value
                .decode_borrowed::<Notes<'_>>()
                .ok_or_else(|| Error::corrupt("what the record says of itself makes no sense"))?,
            None => Notes::default(),
        };
        if notes.version > NOTES_VERSION {
            return Err(Error::LaterVersion);
        }
        let content = Content {
            payload,
            created_at: notes.started.map(Millis::new),
            idle: notes.idle.map(Duration::from_millis),
            owner: notes.owner.map(Arc::from),
            logged_in_at: None,
            label: notes.label.map(Arc::from),
            lineage: None,
        };
        let times = Times {
            expires_at: loaded.expires_at.map(Millis::from),
            ..Times::default()
        };
        Ok(Some(Stored::Live(content, times, loaded.bytes.clone())))
    }

    fn live_of_flask(self, content: &Content) -> Result<Vec<u8>> {
        let nothing_to_note =
            content.owner.is_none() && content.idle.is_none() && content.label.is_none();
        if !self.dated && nothing_to_note {
            return content.payload.encode(self.format);
        }
        let notes = Notes {
            version: NOTES_VERSION,
            started: content.started_at().map(Millis::get),
            idle: content.idle.map(millis),
            owner: content.owner.as_deref().map(Cow::Borrowed),
            label: content.label.as_deref().map(Cow::Borrowed),
        };
        let notes = Value::encode(&notes, self.format)?;
        content
            .payload
            .encode_with(Some((RESERVED, &notes)), self.format)
    }
}

/// What a native record says.
fn native(key: &StoreKey, bytes: &Bytes) -> Result<Stored> {
    let (header, length) = Header::parse(bytes)?;
    if binding(key) != Some(header.binding) {
        return Err(Error::corrupt("the record was moved here from another key"));
    }
    Ok(match (header.kind, header.successor) {
        (Kind::Forwarded, Some(successor)) => {
            Stored::Forwarded(StoreKey::from_stored(successor), header.expires_at)
        }
        (Kind::Forwarded, None) | (Kind::Ended, _) => Stored::Ended,
        (Kind::Live, _) => {
            let encoded = bytes.slice(length..);
            let payload = Payload::decode(encoded.clone(), Format::MessagePack)?
                .ok_or_else(|| Error::corrupt("a live record without data"))?;
            let (content, times) = of_header(&header, payload);
            Stored::Live(content, times, encoded)
        }
    })
}

/// What the header of a live record says, with the data of `payload`.
pub(crate) fn of_header(header: &Header<'_>, payload: Payload) -> (Content, Times) {
    let content = Content {
        payload,
        created_at: Some(header.created_at),
        logged_in_at: header.logged_in_at,
        idle: header.idle,
        owner: header.owner.map(Arc::from),
        label: header.label.map(Arc::from),
        lineage: Some(header.lineage),
    };
    let times = Times {
        expires_at: Some(header.expires_at),
        used_at: Some(header.used_at),
        cookie_until: header.cookie_until,
        indexed_until: header.indexed_until,
    };
    (content, times)
}

fn header<'c>(key: &StoreKey, content: &'c Content, write_tag: [u8; 8]) -> Header<'c> {
    Header {
        kind: Kind::Live,
        write_tag,
        binding: binding(key).unwrap_or_default(),
        lineage: content.lineage.unwrap_or_default(),
        expires_at: Millis::default(),
        created_at: content.created_at.unwrap_or_default(),
        logged_in_at: content.logged_in_at,
        used_at: Millis::default(),
        cookie_until: None,
        indexed_until: None,
        idle: content.idle,
        owner: content.owner.as_deref(),
        label: content.label.as_deref(),
        successor: None,
    }
}

#[cfg(test)]
mod tests;
