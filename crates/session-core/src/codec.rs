//! Records as bytes: a live session, or the marker of one that was renewed or ended.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    content::{Content, Lineage},
    error::{Error, Result},
    expiry::{from_millis, to_millis},
    key::StoreKey,
    payload::{Format, Payload, Value},
};

/// The one key that the library keeps for itself.
pub(crate) const RESERVED: &str = "__session";

/// MessagePack's nil: no session, to Flask as to this library.
const NIL: &[u8] = &[0xc0];

/// How a record is keyed and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Native,
    Flask,
}

/// What a record's bytes say.
#[derive(Debug)]
pub(crate) enum Stored {
    Live(Content),
    /// Renewed: the session goes on under another key.
    Retired(StoreKey),
    Ended,
}

/// The value of the reserved key; short names, because every record carries them.
#[derive(Serialize, Deserialize, Default)]
struct Notes<'a> {
    #[serde(rename = "v")]
    version: u8,
    #[serde(borrow)]
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    key: Option<Text<'a>>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    idle: Option<u64>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    owner: Option<Text<'a>>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    lineage: Option<Text<'a>>,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    mark: Option<Mark<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Mark<'a> {
    /// The deadline is in the bytes, because a late touch may move the record's own expiry.
    #[serde(rename = "u")]
    until: u64,
    #[serde(borrow)]
    #[serde(rename = "to", default, skip_serializing_if = "Option::is_none")]
    successor: Option<Text<'a>>,
}

/// Borrowed from the record where it stands there as it is, which JSON's escapes do not.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.into())
    }
}

const VERSION: u8 = 1;

/// Reads and writes records of one form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codec {
    pub(crate) form: Form,
    pub(crate) format: Format,
    /// Whether sessions without an owner or a lifetime of their own still carry when they were created.
    pub(crate) dated: bool,
}

impl Codec {
    /// What `bytes` under `key` say; `None` if they say that there is no session.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if no session of this form was written so under this key.
    pub(crate) fn decode(
        self,
        key: &StoreKey,
        bytes: Vec<u8>,
        now: SystemTime,
    ) -> Result<Option<Stored>> {
        let Some(mut payload) = Payload::decode(bytes, self.format)? else {
            return Ok(None);
        };
        let notes = payload.remove(RESERVED);
        let notes = match &notes {
            Some(value) => value
                .decode_borrowed::<Notes<'_>>()
                .ok_or_else(|| Error::corrupt("what the record says of itself makes no sense"))?,
            None if self.form == Form::Native => {
                return Err(Error::corrupt("the record is not one of this library's"));
            }
            None => Notes::default(),
        };
        if notes.version > VERSION {
            return Err(Error::corrupt(
                "the record is of a later version of this library",
            ));
        }
        if self.form == Form::Native && notes.key.as_ref().map(|it| &*it.0) != Some(binding(key)) {
            return Err(Error::corrupt("the record was moved here from another key"));
        }
        // Otherwise the key of a native record, which whoever reads the store knows, would open it as Flask's id.
        if self.form == Form::Flask && notes.key.is_some() {
            return Err(Error::corrupt("the record is this library's own"));
        }
        Ok(match notes.mark {
            Some(mark) if from_millis(mark.until) <= now => None,
            Some(Mark {
                successor: Some(key),
                ..
            }) => Some(Stored::Retired(StoreKey::from_stored(&*key.0))),
            Some(_) => Some(Stored::Ended),
            None => Some(Stored::Live(Content {
                payload,
                created_at: notes.created.map(from_millis),
                idle: notes.idle.map(Duration::from_millis),
                owner: notes.owner.map(|it| it.0.into()),
                lineage: notes.lineage.map(|it| Lineage::from_text(&it.0)),
            })),
        })
    }

    /// The bytes of a live session under `key`.
    pub(crate) fn live(self, key: &StoreKey, content: &Content) -> Result<Vec<u8>> {
        let keeps_notes = self.form == Form::Native
            || self.dated
            || content.owner.is_some()
            || content.idle.is_some();
        if !keeps_notes {
            return content.payload.encode(self.format);
        }
        self.noted(&content.payload, &notes(self.form, key, content, None))
    }

    /// The bytes of the marker that a renewed session leaves: it names its successor.
    pub(crate) fn retired(
        self,
        key: &StoreKey,
        content: &Content,
        successor: &StoreKey,
        until: SystemTime,
    ) -> Result<Vec<u8>> {
        self.marker(key, content, Some(successor.as_str().into()), until)
    }

    /// The bytes of the marker that an ended session leaves.
    pub(crate) fn ended(
        self,
        key: &StoreKey,
        content: &Content,
        until: SystemTime,
    ) -> Result<Vec<u8>> {
        self.marker(key, content, None, until)
    }

    fn marker(
        self,
        key: &StoreKey,
        content: &Content,
        successor: Option<Text<'_>>,
        until: SystemTime,
    ) -> Result<Vec<u8>> {
        if self.form == Form::Flask {
            return Ok(NIL.to_vec());
        }
        let until = to_millis(until);
        let mark = Mark { until, successor };
        let notes = notes(self.form, key, content, Some(mark));
        self.noted(&Payload::default(), &notes)
    }

    fn noted(self, payload: &Payload, notes: &Notes<'_>) -> Result<Vec<u8>> {
        let notes = Value::encode(notes, self.format)?;
        payload.encode_with(Some((RESERVED, &notes)), self.format)
    }
}

fn notes<'a>(
    form: Form,
    key: &'a StoreKey,
    content: &'a Content,
    mark: Option<Mark<'a>>,
) -> Notes<'a> {
    Notes {
        version: VERSION,
        key: (form == Form::Native).then(|| binding(key).into()),
        created: content.created_at.map(to_millis),
        idle: content
            .idle
            .map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)),
        owner: content.owner.as_deref().map(Text::from),
        lineage: content.lineage.as_ref().map(|it| it.as_str().into()),
        mark,
    }
}

/// What ties a record to its key, so that two records swapped in the store open neither session: 128 bits of the id's
/// digest.
fn binding(key: &StoreKey) -> &str {
    let text = key.as_str();
    &text[text.len().saturating_sub(32)..]
}

#[cfg(test)]
mod tests;
