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
mod tests {
    use super::*;

    const NATIVE: Codec = Codec {
        form: Form::Native,
        format: Format::MessagePack,
        dated: true,
    };
    const FLASK: Codec = Codec {
        form: Form::Flask,
        format: Format::MessagePack,
        dated: false,
    };

    fn key(text: &str) -> StoreKey {
        StoreKey::from_stored(text)
    }

    fn content() -> Content {
        let mut content = Content {
            created_at: Some(from_millis(1_000_000)),
            idle: Some(Duration::from_secs(60)),
            owner: Some("alice".into()),
            lineage: Some(Lineage::random()),
            ..Content::default()
        };
        content
            .payload
            .insert_value("n", Value::encode(&1, Format::MessagePack).unwrap());
        content
    }

    #[test]
    fn a_live_session_comes_back_as_it_was() {
        let bytes = NATIVE.live(&key("session:a"), &content()).unwrap();
        let Some(Stored::Live(back)) = NATIVE
            .decode(&key("session:a"), bytes, from_millis(0))
            .unwrap()
        else {
            panic!("a live session");
        };
        assert_eq!(back.created_at, content().created_at);
        assert_eq!(back.idle, content().idle);
        assert_eq!(back.owner.as_deref(), Some("alice"));
        assert_eq!(back.payload.get::<u8>("n").unwrap(), Some(1));
        assert!(!back.payload.contains(RESERVED));
    }

    #[test]
    fn a_record_under_another_key_is_refused() {
        let bytes = NATIVE.live(&key("session:a"), &content()).unwrap();
        assert!(
            NATIVE
                .decode(&key("session:b"), bytes, from_millis(0))
                .is_err()
        );
    }

    #[test]
    fn a_marker_ends_by_its_own_bytes() {
        let until = from_millis(5000);
        let bytes = NATIVE
            .retired(&key("session:a"), &content(), &key("session:b"), until)
            .unwrap();
        let stored = |now| {
            NATIVE
                .decode(&key("session:a"), bytes.clone(), from_millis(now))
                .unwrap()
        };
        assert!(matches!(stored(4999), Some(Stored::Retired(to)) if to == key("session:b")));
        assert!(stored(5000).is_none());
    }

    #[test]
    fn what_is_not_ours_is_corrupt() {
        let flask = b"\x82\xaa_permanent\xc3\xa1a\xa1x".to_vec();
        assert!(
            NATIVE
                .decode(&key("session:a"), flask.clone(), from_millis(0))
                .is_err()
        );
        assert!(matches!(
            FLASK.decode(&key("session:a"), flask, from_millis(0)),
            Ok(Some(Stored::Live(_)))
        ));
        for bad in [&b"\x81"[..], b"\xff", b"garbage", b"\x81\xa9__session\xa1x"] {
            assert!(
                NATIVE
                    .decode(&key("session:a"), bad.to_vec(), from_millis(0))
                    .is_err(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn flask_sees_nothing_of_ours_unless_it_is_used() {
        let mut plain = Content::default();
        plain
            .payload
            .insert_value("a", Value::encode("x", Format::MessagePack).unwrap());
        assert_eq!(
            FLASK.live(&key("session:a"), &plain).unwrap(),
            b"\x81\xa1a\xa1x"
        );
        assert_eq!(
            FLASK
                .ended(&key("session:a"), &plain, from_millis(0))
                .unwrap(),
            NIL
        );
    }
}
