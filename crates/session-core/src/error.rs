use std::{error, fmt, time::Duration};

/// What [`Error`] carries as its cause.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done; "absent", "expired" and "refused" are answers, not errors.
///
/// No message holds a session id, a store key, a payload or a password. The cause is given by
/// [`source`](error::Error::source) and is not repeated in the message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The store failed; of a write, whether it took effect is unknown.
    Backend {
        /// The store's name, such as `redis`.
        store: &'static str,
        /// What its driver reported.
        source: BoxError,
    },
    /// The store did not answer within the request's budget of store time.
    Timeout {
        /// The budget that was used up.
        budget: Duration,
    },
    /// The record is not one that this library wrote, or is damaged.
    Corrupt {
        /// What could not be read.
        source: BoxError,
    },
    /// The encoded session exceeds what the store accepts; what was stored before is intact.
    TooLarge {
        /// The size of the encoded session in bytes.
        size: usize,
        /// The largest size accepted, in bytes.
        limit: usize,
    },
    /// A later release of this library wrote the record; it is left alone.
    LaterVersion,
    /// An earlier save of the same request failed, and what it stored is unknown.
    Unknown,
    /// The session's record is gone from the store, and nothing tells whether it ended or was renewed.
    Missing,
    /// The session reached the end of its lifetime while the request ran.
    Expired,
    /// The session could not be loaded, so it cannot be changed or ended: the application chose to go on without it.
    NotLoaded,
    /// Others changed the session so often that every attempt to change it was overtaken.
    Contended,
    /// The request came with an id that was renewed, or lost a login to another one; nothing changed.
    Conflict,
    /// The session changed after the response's head was sent, and needs a cookie that can no longer be set.
    HeadSent,
    /// The closure of an `update` used the session that it changes.
    Reentrant,
    /// The key is one that the library keeps for itself.
    ReservedKey,
    /// The name of an owner is too long.
    OwnerTooLong {
        /// The most bytes it may have.
        limit: usize,
    },
    /// A value could not be encoded.
    Encode {
        /// What the encoder reported.
        source: BoxError,
    },
    /// A value is there, but not of the type asked for.
    Decode {
        /// What the decoder reported.
        source: BoxError,
    },
    /// A user's sessions cannot be listed: the application was built
    /// [`without_owner_lists`](crate::SessionsBuilder::without_owner_lists).
    NoOwnerIndex,
    /// No middleware of this session wraps the route.
    NoMiddleware {
        /// The pattern of the route, if it is known.
        route: Option<Box<str>>,
    },
    /// Other sessions around the route have the same cookie name.
    CookieInUse {
        /// The cookie's name.
        name: Box<str>,
    },
}

impl Error {
    /// A failure of the backend named `store`.
    pub fn backend(store: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Backend {
            store,
            source: source.into(),
        }
    }

    /// The HTTP status of an answer to a request that this error ended, for adapters.
    ///
    /// 503 where the store failed or was overtaken, so that the client may try again; 413 for a
    /// session that is too large, 409 for a conflict, 400 for a key or an owner's name that cannot be used,
    /// 500 for what only the application's code can mend.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge { .. } => 413,
            Self::Conflict => 409,
            Self::ReservedKey | Self::OwnerTooLong { .. } => 400,
            Self::HeadSent
            | Self::Reentrant
            | Self::Encode { .. }
            | Self::Decode { .. }
            | Self::NoOwnerIndex
            | Self::NoMiddleware { .. }
            | Self::CookieInUse { .. } => 500,
            Self::Backend { .. }
            | Self::Timeout { .. }
            | Self::Corrupt { .. }
            | Self::LaterVersion
            | Self::Unknown
            | Self::Missing
            | Self::Expired
            | Self::NotLoaded
            | Self::Contended => 503,
        }
    }

    /// Whether a write that failed so is known to have changed nothing, and the request may go on.
    pub(crate) fn changed_nothing(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::Conflict
                | Self::HeadSent
                | Self::Reentrant
                | Self::Encode { .. }
                | Self::Decode { .. }
        )
    }

    /// A value that cannot be encoded.
    pub fn encode(source: impl Into<BoxError>) -> Self {
        Self::Encode {
            source: source.into(),
        }
    }

    /// A record that cannot be read.
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
            Self::Timeout { budget } => {
                write!(f, "the session store did not answer within {budget:?}")
            }
            Self::Corrupt { .. } => f.write_str("the session record cannot be read"),
            Self::TooLarge { size, limit } => {
                write!(
                    f,
                    "the session takes {size} bytes, the store accepts {limit}"
                )
            }
            Self::LaterVersion => {
                f.write_str("a later release of the session library wrote the record")
            }
            Self::Unknown => {
                f.write_str("an earlier change to the session failed, its outcome is unknown")
            }
            Self::Missing => f.write_str("the session's record is gone without a trace"),
            Self::Expired => f.write_str("the session ended by time while the request ran"),
            Self::NotLoaded => {
                f.write_str("the session could not be loaded, so it cannot be changed or ended")
            }
            Self::Contended => f.write_str("the session was changed by others at every attempt"),
            Self::Conflict => f.write_str("the session was renewed by another request"),
            Self::HeadSent => {
                f.write_str("the change needs a session cookie, but the response's head was sent")
            }
            Self::Reentrant => f.write_str(
                "the closure of an update used the session itself; read what it needs before",
            ),
            Self::OwnerTooLong { limit } => {
                write!(f, "the owner's name has more than {limit} bytes")
            }
            Self::ReservedKey => f.write_str("the key is reserved for the session library"),
            Self::Encode { .. } => f.write_str("the value cannot be encoded"),
            Self::Decode { .. } => f.write_str("the value is not of the type asked for"),
            Self::NoOwnerIndex => f.write_str(
                "the sessions were built without_owner_lists, so a user's sessions cannot be listed",
            ),
            Self::NoMiddleware { route } => write!(
                f,
                "no middleware of this session wraps the route {}; wrap the App or the scope with it",
                route.as_deref().unwrap_or_default()
            ),
            Self::CookieInUse { name } => write!(
                f,
                "other sessions around the route have the cookie {name} too; give each a cookie name of its own, or \
                 wrap both places with clones of one Sessions"
            ),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Backend { source, .. }
            | Self::Corrupt { source }
            | Self::Encode { source }
            | Self::Decode { source } => Some(source.as_ref()),
            _ => None,
        }
    }
}
