//! The header of a native record: everything that core stores about a session beside its data.
//!
//! ```text
//! offset  bytes
//!      0      1  0xC1, which neither MessagePack nor JSON begins with: to Flask it is no session
//!      1      1  version of the format: 1
//!      2      1  kind: 0 live, 1 forwarded, 2 ended, 3 logins of an owner
//!      3      1  flags: which of the optional fields follow; 128 if the record is provisional
//!      4      2  length of the header with its optional fields; the payload begins there
//!      6      1  which of the optional times follow: 1 last login or reauthentication, 2 end of the
//!                cookie last sent, which otherwise ends with the browser, 4 time of the entry in
//!                the owner's index, 8 idle timeout of its own in milliseconds
//!      7      1  further flags: 1 the field of a device; other bits are for later releases, as
//!                they are at offset 6
//!      8      8  write tag: random, another one in each write
//!     16     16  key binding: the last half of the digest that the store key ends with
//!     32     16  lineage
//!     48      6  the session's end; of a tombstone, how long it counts for requests that arrive
//!     54      6  creation
//!     60      6  last use that was written
//!     66         optional times in the order of their bits, 6 bytes each and never 0
//!                optional fields in the order of their flags; each has two bytes of
//!                length and so many bytes:
//!                1 owner, 2 label, 4 key of the successor, all UTF-8;
//!                8 first use of the id, 8 bytes, 0 if there was none; 16 nonce of a rotation,
//!                32 bytes; 32 digest of the identity provider's session, 32 bytes. Flags
//!                without a field: 64 the payload is encrypted, 128 the record is provisional.
//!                Then those of the further flags: 1 the device that the session is bound to;
//!                2 digest of the Flask cookie that it was started from, 5 bytes
//! ```
//!
//! The payload of a record of kind 3 is the key bindings of provisional records, 16 bytes each.
//!
//! Numbers are big-endian; times are milliseconds since 1970. A record of a later version, of an
//! unknown kind or with unknown bits at offsets 6 and 7 comes from a later release of this library, and is
//! not touched.

use std::time::Duration;

use crate::{
    error::{Error, Result},
    expiry::{Millis, millis},
    id::Nonce,
    key::{CookieDigest, SidDigest, StoreKey},
    record::Record,
};

/// The first byte of each record. No MessagePack and no JSON begins with it.
const MAGIC: u8 = 0xc1;
const VERSION: u8 = 1;
const FIXED: usize = 66;
/// The length of a time. The largest is 8,900 years after 1970.
const TIME: usize = 6;
/// Where the write tag ends.
const TAGGED: usize = 16;

const OWNER: u8 = 1;
const LABEL: u8 = 2;
const SUCCESSOR: u8 = 4;
const ID_USE: u8 = 8;
const NONCE: u8 = 16;
const PROVIDER_SESSION: u8 = 32;
const ENCRYPTED: u8 = 64;
const PROVISIONAL: u8 = 128;

/// Of the further flags.
const DEVICE: u8 = 1;
const FLASK_COOKIE: u8 = 2;

const AUTHENTICATED: u8 = 1;
const COOKIE_UNTIL: u8 = 2;
const INDEXED_UNTIL: u8 = 4;
const IDLE: u8 = 8;
const TIMES: u8 = AUTHENTICATED | COOKIE_UNTIL | INDEXED_UNTIL | IDLE;

/// The longest name of an owner, in bytes.
pub(crate) const MAX_OWNER: usize = 512;
/// The longest label, in bytes.
pub(crate) const MAX_LABEL: usize = 256;

/// The device that a session is bound to, as bytes: `dbsc/device.rs` has what they mean. They are
/// kept without the Cargo feature, too, so that a program that lacks it loses no binding.
pub(crate) type DeviceField = [u8; 109];

/// Whether this library wrote `record`, which may be damaged.
pub(crate) fn has_mark(record: &[u8]) -> bool {
    record.first() == Some(&MAGIC)
}

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Live,
    /// A renewed session, which continues under another key.
    Forwarded,
    Ended,
    /// No session: it names the latest logins of an owner, whose number is limited.
    Logins,
}

/// Whether a request has presented the id of a record. It is stored for ids that a rotation made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdUse {
    /// None has, so the browser may not have it.
    NotYet,
    /// The first one then. Or the id was made then, and not by a rotation.
    Since(Millis),
}

impl IdUse {
    fn of(bytes: [u8; 8]) -> Self {
        match u64::from_be_bytes(bytes) {
            0 => Self::NotYet,
            millis => Self::Since(Millis::new(millis)),
        }
    }
}

/// A header whose texts are borrowed from the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header<'t> {
    pub(crate) kind: Kind,
    pub(crate) write_tag: [u8; 8],
    pub(crate) binding: [u8; 16],
    pub(crate) lineage: [u8; 16],
    pub(crate) expires_at: Millis,
    pub(crate) created_at: Millis,
    pub(crate) authenticated_at: Option<Millis>,
    pub(crate) used_at: Millis,
    pub(crate) cookie_until: Option<Millis>,
    pub(crate) indexed_until: Option<Millis>,
    pub(crate) idle: Option<Duration>,
    pub(crate) owner: Option<&'t str>,
    pub(crate) label: Option<&'t str>,
    pub(crate) successor: Option<&'t str>,
    /// Whether the payload is encrypted.
    pub(crate) is_encrypted: bool,
    /// As [`Times::provisional`](crate::codec::Times::provisional).
    pub(crate) provisional: bool,
    pub(crate) id_use: Option<IdUse>,
    /// In the tombstone of a rotation: what makes the successor's id from the old one.
    pub(crate) nonce: Option<Nonce>,
    /// As [`Content::provider_session`](crate::content::Content::provider_session).
    pub(crate) provider_session: Option<SidDigest>,
    pub(crate) device: Option<&'t DeviceField>,
    /// As [`Content::flask_cookie`](crate::content::Content::flask_cookie).
    pub(crate) flask_cookie: Option<CookieDigest>,
}

impl<'t> Header<'t> {
    /// The header that `bytes` begin with, and its length.
    ///
    /// # Errors
    ///
    /// [`Error::LaterVersion`] if a later release wrote it, [`Error::Corrupt`] if the bytes do not
    /// begin with a header.
    pub(crate) fn parse(bytes: &'t [u8]) -> Result<(Self, usize)> {
        let Some((fixed, _)) = bytes.split_first_chunk::<FIXED>() else {
            return Err(Error::corrupt("the record is shorter than a header"));
        };
        if fixed[0] != MAGIC || fixed[1] == 0 {
            return Err(Error::corrupt("this library did not write the record"));
        }
        let flags = fixed[3];
        let kind = match fixed[2] {
            0 => Kind::Live,
            1 => Kind::Forwarded,
            2 => Kind::Ended,
            3 => Kind::Logins,
            _ => return Err(Error::LaterVersion),
        };
        if fixed[1] > VERSION || fixed[6] & !TIMES != 0 || fixed[7] & !(DEVICE | FLASK_COOKIE) != 0
        {
            return Err(Error::LaterVersion);
        }
        let length = usize::from(u16::from_be_bytes(array(fixed, 4)));
        let mut rest = bytes
            .get(FIXED..length)
            .ok_or_else(|| Error::corrupt("the record's header is cut short"))?;
        let mut optional = |flag: u8| -> Result<Option<u64>> {
            if fixed[6] & flag == 0 {
                return Ok(None);
            }
            let time = rest.split_first_chunk::<TIME>().map(|(time, others)| {
                rest = others;
                millis_of(*time)
            });
            time.filter(|it| *it != 0)
                .map(Some)
                .ok_or_else(|| Error::corrupt("a time of the record's header is missing"))
        };
        let authenticated_at = optional(AUTHENTICATED)?.map(Millis::new);
        let cookie_until = optional(COOKIE_UNTIL)?.map(Millis::new);
        let indexed_until = optional(INDEXED_UNTIL)?.map(Millis::new);
        let idle = optional(IDLE)?.map(Duration::from_millis);
        let mut field = |flags: u8, flag: u8| -> Result<Option<&'t [u8]>> {
            if flags & flag == 0 {
                return Ok(None);
            }
            let (field, others) = rest
                .split_first_chunk::<2>()
                .and_then(|(length, rest)| {
                    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
                })
                .ok_or_else(|| Error::corrupt("a field of the record's header is cut short"))?;
            rest = others;
            Ok(Some(field))
        };
        let (owner, label) = (field(flags, OWNER)?, field(flags, LABEL)?);
        let successor = field(flags, SUCCESSOR)?;
        let (owner, label, successor) = (text(owner)?, text(label)?, text(successor)?);
        let (id_use, nonce, provider_session) = if flags & (ID_USE | NONCE | PROVIDER_SESSION) == 0
        {
            (None, None, None)
        } else {
            (
                exact(field(flags, ID_USE)?)?,
                exact(field(flags, NONCE)?)?.map(Nonce::of),
                exact(field(flags, PROVIDER_SESSION)?)?,
            )
        };
        let device = field(fixed[7], DEVICE)?.map(TryInto::try_into).transpose();
        let device = device.map_err(Error::corrupt)?;
        let flask_cookie = exact(field(fixed[7], FLASK_COOKIE)?)?;
        if length > Record::HEAD
            || !rest.is_empty()
            || (kind == Kind::Forwarded) != successor.is_some()
            || (nonce.is_some() && successor.is_none())
        {
            return Err(Error::corrupt("the record's header is inconsistent"));
        }
        let instant = |offset| Millis::new(millis_of(array(fixed, offset)));
        let header = Self {
            kind,
            write_tag: array(fixed, 8),
            binding: array(fixed, 16),
            lineage: array(fixed, 32),
            expires_at: instant(48),
            created_at: instant(54),
            authenticated_at,
            used_at: instant(60),
            cookie_until,
            indexed_until,
            idle,
            owner,
            label,
            successor,
            is_encrypted: flags & ENCRYPTED != 0,
            provisional: flags & PROVISIONAL != 0,
            id_use: id_use.map(IdUse::of),
            nonce,
            provider_session,
            device,
            flask_cookie,
        };
        Ok((header, length))
    }

    /// The header as bytes, with capacity for a payload of `payload` bytes after it.
    pub(crate) fn write(&self, payload: usize) -> Vec<u8> {
        let id_use = self.id_use.map(|id_use| match id_use {
            IdUse::NotYet => [0; 8],
            IdUse::Since(first) => first.get().to_be_bytes(),
        });
        let fields = [
            (OWNER, self.owner.map(str::as_bytes)),
            (LABEL, self.label.map(str::as_bytes)),
            (SUCCESSOR, self.successor.map(str::as_bytes)),
            (ID_USE, id_use.as_ref().map(|it| &it[..])),
            (NONCE, self.nonce.as_ref().map(|it| &it.as_bytes()[..])),
            (
                PROVIDER_SESSION,
                self.provider_session.as_ref().map(|it| &it[..]),
            ),
        ];
        let mut flags = if self.is_encrypted { ENCRYPTED } else { 0 };
        if self.provisional {
            flags |= PROVISIONAL;
        }
        let times = [
            (AUTHENTICATED, self.authenticated_at.map(Millis::get)),
            (COOKIE_UNTIL, self.cookie_until.map(Millis::get)),
            (INDEXED_UNTIL, self.indexed_until.map(Millis::get)),
            (IDLE, self.idle.map(millis)),
        ]
        .map(|(flag, time)| (flag, time.filter(|it| *it != 0)));
        let mut length = FIXED;
        let mut times_flags = 0;
        for (flag, time) in times {
            if time.is_some() {
                times_flags |= flag;
                length += TIME;
            }
        }
        for (flag, field) in fields {
            if let Some(field) = field {
                flags |= flag;
                length += 2 + field.len();
            }
        }
        let kind = match self.kind {
            Kind::Live => 0,
            Kind::Forwarded => 1,
            Kind::Ended => 2,
            Kind::Logins => 3,
        };
        let mut more_flags = 0;
        if let Some(device) = self.device {
            more_flags |= DEVICE;
            length += 2 + device.len();
        }
        if let Some(cookie) = self.flask_cookie {
            more_flags |= FLASK_COOKIE;
            length += 2 + cookie.len();
        }
        let mut bytes = Vec::with_capacity(length + payload);
        bytes.extend([MAGIC, VERSION, kind, flags]);
        bytes.extend(short(length));
        bytes.extend([times_flags, more_flags]);
        bytes.extend(self.write_tag);
        bytes.extend(self.binding);
        bytes.extend(self.lineage);
        let always = [self.expires_at, self.created_at, self.used_at].map(Millis::get);
        let optional = times.into_iter().filter_map(|(_, time)| time);
        for time in always.into_iter().chain(optional) {
            bytes.extend(short_time(time));
        }
        let fields = fields.into_iter().filter_map(|(_, field)| field);
        let further = self.device.map(|it| &it[..]).into_iter();
        let further = further.chain(self.flask_cookie.as_ref().map(|it| &it[..]));
        for field in fields.chain(further) {
            bytes.extend(short(field.len()));
            bytes.extend(field);
        }
        bytes
    }
}

/// The beginning of a native record up to its write tag, which is different in each write. `None`
/// if the bytes are no native record of this version.
pub(crate) fn tagged(record: &[u8]) -> Option<&[u8]> {
    let is_native = record.len() >= FIXED && record.starts_with(&[MAGIC, VERSION]);
    is_native.then(|| &record[..TAGGED])
}

/// Twelve bytes of a header that are random and new in each write: the write tag, and four of the
/// lineage.
#[cfg(feature = "encryption")]
pub(crate) fn nonce(header: &[u8]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&header[8..16]);
    nonce[8..].copy_from_slice(&header[32..36]);
    nonce
}

/// The value that binds a record to its key: 128 bits of the id's digest. If somebody swaps two
/// records in the store, neither opens a session. `None` if the key does not end with a digest.
pub(crate) fn binding(key: &StoreKey) -> Option<[u8; 16]> {
    let digits = key.as_str().as_bytes().last_chunk::<32>()?;
    let mut binding = [0; 16];
    for (byte, pair) in binding.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(binding)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

fn text(field: Option<&[u8]>) -> Result<Option<&str>> {
    field
        .map(std::str::from_utf8)
        .transpose()
        .map_err(Error::corrupt)
}

fn exact<const N: usize>(field: Option<&[u8]>) -> Result<Option<[u8; N]>> {
    field
        .map(<[u8; N]>::try_from)
        .transpose()
        .map_err(Error::corrupt)
}

fn array<const N: usize>(fixed: &[u8; FIXED], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&fixed[offset..offset + N]);
    array
}

pub(crate) fn millis_of(time: [u8; TIME]) -> u64 {
    let mut bytes = [0; 8];
    bytes[8 - TIME..].copy_from_slice(&time);
    u64::from_be_bytes(bytes)
}

pub(crate) fn short_time(millis: u64) -> [u8; TIME] {
    let millis = millis.min((1 << (8 * TIME)) - 1).to_be_bytes();
    let mut time = [0; TIME];
    time.copy_from_slice(&millis[8 - TIME..]);
    time
}

/// The lengths of owners, labels and keys are far below the maximum.
fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests;
