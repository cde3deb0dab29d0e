//! Encodes and decodes native records: live sessions, and tombstones of sessions that were renewed
//! or ended.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    content::Content,
    encryption::EncryptionKeys,
    error::{Error, Result},
    expiry::Millis,
    header::{Header, IdUse, Kind, MAX_OWNER, binding},
    id::Nonce,
    key::StoreKey,
    machine::table::rule_holds,
    payload::{Format, Payload},
};

/// A decoded record.
#[derive(Debug)]
pub(crate) enum Stored {
    /// Content, times, and the encoded payload.
    Live(Content, Times, Bytes),
    /// A renewed session.
    Forwarded(Forwarding),
    Ended(Dead),
}

/// Whose session has ended, as its tombstone says.
#[derive(Clone, Debug)]
pub(crate) struct Dead {
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) lineage: [u8; 16],
}

/// What a forwarding tombstone says.
#[derive(Debug)]
pub(crate) struct Forwarding {
    /// The key of the successor.
    pub(crate) successor: StoreKey,
    /// Until when requests that arrive heed the tombstone.
    pub(crate) until: Millis,
    /// If a rotation wrote it, what requests that arrive need beside.
    pub(crate) rotation: Option<Rotation>,
}

/// What the tombstone of a rotation says.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(crate) nonce: Nonce,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) lineage: [u8; 16],
    /// The use of the id that was rotated, if a rotation made that, too.
    pub(crate) id_use: Option<IdUse>,
}

/// What each write of a live record sets anew, beside the content: times for the most part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// The session's end as its last write computed it. Unknown if a Flask layout cannot tell it.
    pub(crate) expires_at: Option<Millis>,
    pub(crate) used_at: Option<Millis>,
    /// The end of the cookie that was last sent. `None` if it ends with the browser.
    pub(crate) cookie_until: Option<Millis>,
    /// The time of the entry in the owner's index.
    pub(crate) indexed_until: Option<Millis>,
    /// The use of the record's id, if a rotation made it, or a renewal while rotation was on.
    pub(crate) id_use: Option<IdUse>,
    /// The login that inserted the record is under way, or was cut off. The next write of the record
    /// makes it count to the sessions of its owner as any other. Until then it counts only while the
    /// login may be under way and, if logins can be refused, only if the owner's
    /// [record of logins](logins) names it.
    pub(crate) provisional: bool,
}

/// What a forwarding tombstone is to name.
pub(crate) struct Successor<'s> {
    pub(crate) key: &'s StoreKey,
    /// The nonce of a rotation, and the use of the id that is rotated.
    pub(crate) rotation: Option<(Nonce, Option<IdUse>)>,
}

/// Decodes the record that was found under `key`.
///
/// # Errors
///
/// [`Error::Corrupt`] if it is damaged or was written under another key, [`Error::LaterVersion`] if
/// a later release of this library wrote it, [`Error::UnknownEncryptionKey`] if none of `keys`
/// encrypted it.
pub(crate) fn decode(
    key: &StoreKey,
    bytes: &Bytes,
    keys: Option<&EncryptionKeys>,
) -> Result<Stored> {
    let (header, length) = Header::parse(bytes)?;
    if binding(key) != Some(header.binding) {
        return Err(Error::corrupt("the record was written under another key"));
    }
    Ok(match (header.kind, header.successor) {
        (Kind::Forwarded, Some(successor)) => Stored::Forwarded(Forwarding {
            successor: StoreKey::from_stored(successor),
            until: header.expires_at,
            rotation: header.nonce.map(|nonce| Rotation {
                nonce,
                owner: header.owner.map(Arc::from),
                lineage: header.lineage,
                id_use: header.id_use,
            }),
        }),
        (Kind::Forwarded, None) | (Kind::Ended, _) => Stored::Ended(Dead {
            owner: header.owner.map(Arc::from),
            lineage: header.lineage,
        }),
        (Kind::Logins, _) => return Err(Error::corrupt("the record is not that of a session")),
        (Kind::Live, _) => {
            let encoded = match keys {
                _ if header.is_encrypted => keys
                    .ok_or(Error::UnknownEncryptionKey)?
                    .decrypt(key, bytes, length)?,
                Some(keys) if !keys.accepts_plain() => {
                    return Err(Error::corrupt("the record's payload is not encrypted"));
                }
                _ => bytes.slice(length..),
            };
            let payload = Payload::decode(encoded.clone(), Format::MessagePack)?
                .ok_or_else(|| Error::corrupt("the record of a live session has no payload"))?;
            let (content, times) = of_header(&header, payload);
            Stored::Live(content, times, encoded)
        }
    })
}

/// What the header under `key` says. That is enough to end the session.
///
/// # Errors
///
/// As [`decode`], if the header itself is damaged.
pub(crate) fn decode_header(key: &StoreKey, bytes: &[u8]) -> Result<Stored> {
    let (header, _) = Header::parse(bytes)?;
    if header.kind != Kind::Live || binding(key) != Some(header.binding) {
        return Err(Error::corrupt("the record is not that of a live session"));
    }
    let (content, times) = of_header(&header, Payload::default());
    Ok(Stored::Live(content, times, Bytes::new()))
}

/// The content and the times of a live record.
pub(crate) fn of_header(header: &Header<'_>, payload: Payload) -> (Content, Times) {
    let content = Content {
        payload,
        created_at: Some(header.created_at),
        authenticated_at: header.authenticated_at,
        idle: header.idle,
        owner: header.owner.map(Arc::from),
        provider_session: header.provider_session.map(Arc::new),
        label: header.label.map(Arc::from),
        device: header.device.map(|it| Arc::new(*it)),
        flask_cookie: header.flask_cookie,
        lineage: Some(header.lineage),
    };
    let times = Times {
        expires_at: Some(header.expires_at),
        used_at: Some(header.used_at),
        cookie_until: header.cookie_until,
        indexed_until: header.indexed_until,
        provisional: header.provisional,
        id_use: header.id_use,
    };
    (content, times)
}

/// The bytes of a live session under `key`, and the encoded payload in them. `encoded` is the
/// payload, if it did not change since the load.
pub(crate) fn live(
    key: &StoreKey,
    content: &Content,
    times: &Times,
    write_tag: [u8; 8],
    encoded: Option<&Bytes>,
    keys: Option<&EncryptionKeys>,
) -> Result<(Bytes, Bytes)> {
    // An owner from a record of Flask's form may be longer.
    let owner = content.owner.as_ref();
    if owner.is_some_and(|it| it.len() > MAX_OWNER) {
        return Err(Error::OwnerTooLong { limit: MAX_OWNER });
    }
    let room = encoded.map_or_else(|| content.payload.room(), Bytes::len);
    let mut bytes = Header {
        is_encrypted: keys.is_some(),
        expires_at: times.expires_at.unwrap_or_default(),
        used_at: times.used_at.unwrap_or_default(),
        cookie_until: times.cookie_until,
        indexed_until: times.indexed_until,
        provisional: times.provisional,
        id_use: times.id_use,
        provider_session: content.provider_session.as_deref().copied(),
        device: content
            .device
            .as_deref()
            .filter(|_| rule_holds!(DeviceIsKept)),
        ..header(key, content, write_tag)
    }
    .write(room);
    if let Some(keys) = keys {
        let payload = match encoded {
            Some(encoded) => encoded.clone(),
            None => content.payload.encode(Format::MessagePack)?.into(),
        };
        keys.encrypt(key, &mut bytes, &payload)?;
        return Ok((bytes.into(), payload));
    }
    let length = bytes.len();
    match encoded {
        Some(encoded) => bytes.extend_from_slice(encoded),
        // Into the record, and not into a buffer that is copied.
        None => content.payload.append_to(&mut bytes)?,
    }
    let bytes = Bytes::from(bytes);
    let payload = bytes.slice(length..);
    Ok((bytes, payload))
}

/// The bytes of a tombstone. With a `successor` it is a forwarding tombstone, and with a nonce that
/// of a rotation.
pub(crate) fn tombstone(
    key: &StoreKey,
    content: &Content,
    successor: Option<&Successor<'_>>,
    until: Millis,
    write_tag: [u8; 8],
) -> Bytes {
    let header = Header {
        kind: if successor.is_some() {
            Kind::Forwarded
        } else {
            Kind::Ended
        },
        expires_at: until,
        label: None,
        successor: successor.map(|it| it.key.as_str()),
        nonce: successor.and_then(|it| it.rotation).map(|it| it.0),
        id_use: successor.and_then(|it| it.rotation).and_then(|it| it.1),
        ..header(key, content, write_tag)
    };
    header.write(0).into()
}

fn header<'c>(key: &StoreKey, content: &'c Content, write_tag: [u8; 8]) -> Header<'c> {
    Header {
        kind: Kind::Live,
        write_tag,
        binding: binding(key).unwrap_or_default(),
        lineage: content.lineage.unwrap_or_default(),
        expires_at: Millis::default(),
        created_at: content.created_at.unwrap_or_default(),
        authenticated_at: content.authenticated_at,
        used_at: Millis::default(),
        cookie_until: None,
        indexed_until: None,
        idle: content.idle,
        owner: content.owner.as_deref(),
        label: content.label.as_deref(),
        successor: None,
        is_encrypted: false,
        provisional: false,
        id_use: None,
        nonce: None,
        provider_session: None,
        device: None,
        flask_cookie: content.flask_cookie,
    }
}

/// The bytes of the record under `key` that names the latest logins of an owner by the
/// [bindings](binding) of their keys. None of them needs it after `until`.
pub(crate) fn logins(
    key: &StoreKey,
    bindings: &[[u8; 16]],
    until: Millis,
    write_tag: [u8; 8],
) -> Bytes {
    let nobody = Content::default();
    let header = Header {
        kind: Kind::Logins,
        expires_at: until,
        ..header(key, &nobody, write_tag)
    };
    let mut bytes = header.write(16 * bindings.len());
    bytes.extend(bindings.as_flattened());
    bytes.into()
}

/// What [`logins`] wrote: the bindings, and until when they are needed.
///
/// # Errors
///
/// As [`decode`].
pub(crate) fn read_logins(key: &StoreKey, bytes: &[u8]) -> Result<(Vec<[u8; 16]>, Millis)> {
    let (header, length) = Header::parse(bytes)?;
    let (bindings, rest) = bytes[length..].as_chunks();
    if header.kind != Kind::Logins || binding(key) != Some(header.binding) || !rest.is_empty() {
        return Err(Error::corrupt(
            "the record is not that of an owner's logins",
        ));
    }
    Ok((bindings.to_vec(), header.expires_at))
}

/// The bytes of a note under `key`: that something happened `at` a time, which matters `until`
/// another. It is a tombstone that no id leads to, so that stores treat it as they treat those.
pub(crate) fn note(key: &StoreKey, at: Millis, until: Millis, write_tag: [u8; 8]) -> Bytes {
    let nobody = Content::default();
    let header = Header {
        kind: Kind::Ended,
        expires_at: until,
        used_at: at,
        ..header(key, &nobody, write_tag)
    };
    header.write(0).into()
}

/// What [`note`] wrote: when it happened, and until when it matters.
///
/// # Errors
///
/// As [`decode`].
#[cfg(feature = "flask-cookie")]
pub(crate) fn read_note(key: &StoreKey, bytes: &[u8]) -> Result<(Millis, Millis)> {
    let (header, _) = Header::parse(bytes)?;
    if header.kind != Kind::Ended || binding(key) != Some(header.binding) {
        return Err(Error::corrupt("the record is not a note"));
    }
    Ok((header.used_at, header.expires_at))
}

#[cfg(test)]
mod tests;
