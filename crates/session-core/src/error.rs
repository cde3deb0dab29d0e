//! The error of everything in this crate, and the HTTP status of each.

use std::{error, fmt, time::Duration};

/// The cause of an [`Error`].
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// The result of every operation in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
///
/// No message contains a session id, a store key, a payload or a password.
/// [`source`](error::Error::source) returns the cause, and the message does not repeat it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The store failed. If it was a write, its result is unknown.
    Backend {
        /// The store's name, such as `redis`.
        store: &'static str,
        /// The error that its driver reported.
        source: BoxError,
    },
    /// What the store keeps its records in, such as a table, is missing, incomplete, or holds
    /// something else, or what leads to it mixes up answers. Nothing but a change of that or of the
    /// settings helps.
    Unsuitable {
        /// The store's name, such as `postgres`.
        store: &'static str,
        /// What is wrong, and what to do.
        source: BoxError,
    },
    /// The store did not answer within the request's store time.
    Timeout {
        /// The store time that was used up.
        budget: Duration,
    },
    /// The record was not written by this library, or is damaged.
    Corrupt {
        /// The error that the decoder reported.
        source: BoxError,
    },
    /// The encoded session is larger than the store or the settings accept. The stored session is
    /// intact.
    TooLarge {
        /// The size of the encoded session in bytes.
        size: usize,
        /// The largest size accepted, in bytes.
        limit: usize,
    },
    /// The session has more keys than the settings accept. The stored session is intact.
    TooManyKeys {
        /// The number of keys.
        count: usize,
        /// The largest number accepted.
        limit: usize,
    },
    /// A later release of this library wrote the record. The record is left unchanged.
    LaterVersion,
    /// The record is encrypted with a key that this application does not have. The record is left
    /// unchanged.
    UnknownEncryptionKey,
    /// An earlier save of the same request failed, and its result is unknown.
    Unknown,
    /// The session's record is absent from the store without a tombstone, so it may have ended or
    /// been renewed.
    Missing,
    /// The session reached the end of its lifetime while the request ran.
    Expired,
    /// The session could not be loaded, and the application chose to continue without it. So it
    /// cannot be changed or ended.
    NotLoaded,
    /// Other requests changed the session before every attempt to save it.
    Contended,
    /// The request came with an id that was renewed, or another request's login was first. Nothing
    /// changed.
    Conflict,
    /// Nobody is logged in to the session, or the last login is too long ago.
    LoginNeeded,
    /// The session is used without proof that the request comes from its device.
    #[cfg(feature = "dbsc")]
    DeviceNeeded,
    /// The settings bind no sessions to devices.
    #[cfg(feature = "dbsc")]
    NoDeviceBinding,
    /// The session changed after the response's head was sent, and the change needs a cookie.
    HeadSent,
    /// The closure of an `update` used the session that it changes.
    Reentrant,
    /// The key is reserved for the library.
    ReservedKey,
    /// The owner's name is too long.
    OwnerTooLong {
        /// The largest size accepted, in bytes.
        limit: usize,
    },
    /// The user has as many sessions as the settings accept, so the login is refused. Nothing
    /// changed.
    TooManySessions {
        /// The largest number accepted.
        limit: usize,
    },
    /// A value could not be encoded.
    Encode {
        /// The error that the encoder reported.
        source: BoxError,
    },
    /// The value is not of the requested type.
    Decode {
        /// The error that the decoder reported.
        source: BoxError,
    },
    /// A user's sessions cannot be listed: the application was built
    /// [`without_owner_lists`](crate::SessionsBuilder::without_owner_lists).
    NoOwnerIndex,
    /// The store cannot list all of its records, or has sessions in Flask's form.
    NoScan,
    /// No middleware of this session wraps the route.
    NoMiddleware {
        /// The pattern of the route, if known.
        route: Option<Box<str>>,
    },
    /// Other `Sessions` around the route have the same cookie name, or the same header.
    CookieInUse {
        /// The name of the cookie, or of the header.
        name: Box<str>,
    },
}

impl Error {
    /// The error of a backend, which is named `store`.
    pub fn backend(store: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Backend {
            store,
            source: source.into(),
        }
    }

    /// The HTTP status of the response to a request that this error ended. For adapters.
    ///
    /// - 503: the store failed, or other requests were always first. The client may try again.
    /// - 413: the session is too large, or has too many keys.
    /// - 409: a conflict.
    /// - 403: the user has too many sessions for another login, or the session needs its device.
    /// - 401: nobody is logged in, or not recently enough.
    /// - 400: a key or an owner's name cannot be used.
    /// - 500: an error that only a change of the application can fix.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge { .. } | Self::TooManyKeys { .. } => 413,
            Self::Conflict => 409,
            Self::TooManySessions { .. } => 403,
            #[cfg(feature = "dbsc")]
            Self::DeviceNeeded => 403,
            #[cfg(feature = "dbsc")]
            Self::NoDeviceBinding => 500,
            Self::LoginNeeded => 401,
            Self::ReservedKey | Self::OwnerTooLong { .. } => 400,
            Self::HeadSent
            | Self::Reentrant
            | Self::Encode { .. }
            | Self::Decode { .. }
            | Self::NoOwnerIndex
            | Self::NoScan
            | Self::NoMiddleware { .. }
            | Self::CookieInUse { .. } => 500,
            Self::Backend { .. }
            | Self::Unsuitable { .. }
            | Self::Timeout { .. }
            | Self::Corrupt { .. }
            | Self::LaterVersion
            | Self::UnknownEncryptionKey
            | Self::Unknown
            | Self::Missing
            | Self::Expired
            | Self::NotLoaded
            | Self::Contended => 503,
        }
    }

    /// The error of a backend, which is named `store`, that cannot be used until somebody changes
    /// something.
    pub fn unsuitable(store: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Unsuitable {
            store,
            source: source.into(),
        }
    }

    /// Whether a write with this error is known to have changed nothing, so that the request may
    /// continue.
    pub(crate) fn changed_nothing(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::TooManyKeys { .. }
                | Self::TooManySessions { .. }
                | Self::Conflict
                | Self::HeadSent
                | Self::Reentrant
                | Self::Encode { .. }
                | Self::Decode { .. }
        )
    }

    /// Whether another process of the application can read the record that this one cannot.
    pub(crate) fn others_can_read(&self) -> bool {
        matches!(self, Self::LaterVersion | Self::UnknownEncryptionKey)
    }

    /// The error for a value that cannot be encoded.
    pub fn encode(source: impl Into<BoxError>) -> Self {
        Self::Encode {
            source: source.into(),
        }
    }

    /// The error for a record that cannot be read.
    pub fn corrupt(source: impl Into<BoxError>) -> Self {
        Self::Corrupt {
            source: source.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend { store, .. } => write!(f, "the session store {store} failed"),
            Self::Unsuitable { store, .. } => write!(f, "the session store {store} cannot be used"),
            Self::Timeout { budget } => {
                write!(
                    f,
                    "the session store used up the {budget:?} that a request's calls may take together"
                )
            }
            Self::Corrupt { .. } => f.write_str("the session record cannot be read"),
            Self::TooLarge { size, limit } => {
                write!(
                    f,
                    "the session has {size} bytes, {limit} are accepted: keep less in the session, or raise the \
                     store's limit or SESSION_MAX_BYTES"
                )
            }
            Self::TooManyKeys { count, limit } => {
                write!(f, "the session has {count} keys, {limit} are accepted: keep fewer, or raise SESSION_MAX_KEYS")
            }
            Self::TooManySessions { limit } => {
                write!(f, "the user has {limit} sessions already: end one of them, or raise SESSION_MAX_PER_USER")
            }
            Self::LaterVersion => {
                f.write_str("a later release of the session library wrote the record: update this program")
            }
            Self::UnknownEncryptionKey => f.write_str(
                "the session record is encrypted with a key that this program does not have: add it to \
                 SESSION_ENCRYPTION_KEY_FALLBACKS",
            ),
            Self::Unknown => {
                f.write_str("an earlier save of this request failed; its changes may or may not be stored")
            }
            Self::Missing => f.write_str("the session's record has disappeared from the store: by eviction, a restart without persistence, \
                 a failover, or another program"),
            Self::Expired => f.write_str("the session expired while the request ran"),
            Self::NotLoaded => {
                f.write_str("the session could not be loaded, so it cannot be changed or ended")
            }
            Self::Contended => {
                f.write_str("other requests changed the session before each attempt to save it")
            }
            Self::Conflict => f.write_str("another request renewed the session or logged in first; the change was not stored"),
            Self::LoginNeeded => {
                f.write_str("nobody is logged in to the session, or the last login is too long ago")
            }
            #[cfg(feature = "dbsc")]
            Self::DeviceNeeded => f.write_str(
                "the session is used without proof that the request comes from its device",
            ),
            #[cfg(feature = "dbsc")]
            Self::NoDeviceBinding => f.write_str(
                "the settings bind no sessions to devices: Settings::with_device_binding does",
            ),
            Self::HeadSent => {
                f.write_str("the change needs a session cookie, but the response's head was sent")
            }
            Self::Reentrant => f.write_str(
                "the closure of an update used the session; read the values it needs before",
            ),
            Self::OwnerTooLong { limit } => {
                write!(f, "the owner's name has more than {limit} bytes")
            }
            Self::ReservedKey => f.write_str("the key is reserved for the session library"),
            Self::Encode { .. } => f.write_str("the value cannot be encoded"),
            Self::Decode { .. } => f.write_str("the value is not of the requested type"),
            Self::NoOwnerIndex => f.write_str(
                "the sessions were built without_owner_lists, so a user's sessions cannot be listed",
            ),
            Self::NoScan => f.write_str(
                "the store cannot list all of its sessions, or it has those of a Flask application, too",
            ),
            Self::NoMiddleware { route } => write!(
                f,
                "no middleware of this session wraps the route {}; wrap the App or the scope with it",
                route.as_deref().unwrap_or_default()
            ),
            Self::CookieInUse { name } => write!(
                f,
                "other sessions around the route have the cookie {name} too, or the header; give each a name of its own, \
                 or wrap both places with clones of one Sessions"
            ),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Backend { source, .. }
            | Self::Unsuitable { source, .. }
            | Self::Corrupt { source }
            | Self::Encode { source }
            | Self::Decode { source } => Some(source.as_ref()),
            _ => None,
        }
    }
}
