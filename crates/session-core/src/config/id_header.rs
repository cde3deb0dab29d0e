//! [`IdHeader`]: sessions of clients that keep no cookies.

use std::sync::Arc;

use super::{ConfigError, Settings};

/// The headers that carry the session's id in place of a cookie: for programs, such as a mobile
/// application.
///
/// The client sends the id in a request header. A response with a new id, after the first change, a
/// login, a renewal or a rotation, has it in a response header, and the client sends that one from
/// then on. After a log-out the response header is there and empty, and the client forgets its id.
/// Other responses do not have the header. Lifetimes, renewal, log-out and lists of devices are as
/// with a cookie; only the client does not learn when the session ends.
///
/// **If an answer is lost** that had a new id, the client has the old one. After a rotation that one
/// counts until the new one was presented. After a login or a renewal it does not, and the client
/// logs in again.
///
/// The sessions neither read nor set a cookie. An application that serves browsers, too, builds
/// other [`Sessions`](crate::Sessions) for them, with another name in the handlers, and may give
/// both one store. Neither accepts the other's ids, if they are signed.
///
/// **Not for browsers.** A page can send the header only if its scripts can read the id, and then
/// every script in it, also an attacker's, can take it away. A cookie with `HttpOnly` cannot be
/// read. Never keep such an id in `localStorage`, and never put it into an address.
///
/// **TLS.** A cookie with `Secure` is never sent without TLS; a header is. So serve these routes
/// over TLS only, and let the client refuse `http:`.
///
/// **Several ids** in one request are as good as none: a proxy in front may have judged another one
/// than the application. Other credentials beside the id, such as `Basic`, do not matter.
///
/// **CORS.** A program in a browser that calls from another origin reads the response header only
/// if the response has `Access-Control-Expose-Headers` with its name, and sends the request header
/// only if the answer to the preflight has `Access-Control-Allow-Headers` with its name; `*` does not
/// stand for `Authorization`. The application's layer for CORS adds both. It belongs outside of the
/// session's: then a response of the session's own, such as a 503, has them, too, and a preflight,
/// which never has an id, is answered without the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdHeader {
    request: Arc<str>,
    is_bearer: bool,
    response: Arc<str>,
}

impl IdHeader {
    /// Reads `Authorization: Bearer` followed by the id, and answers in `Session-Id`.
    pub fn bearer() -> Self {
        Self {
            request: "authorization".into(),
            is_bearer: true,
            response: "session-id".into(),
        }
    }

    /// Reads the header `name`, whose whole value is the id, and answers in the same header.
    pub fn named(name: &str) -> Self {
        let name: Arc<str> = name.to_ascii_lowercase().into();
        Self {
            request: name.clone(),
            is_bearer: false,
            response: name,
        }
    }

    /// Answers in the header `name` instead.
    #[must_use]
    pub fn answering_in(mut self, name: &str) -> Self {
        self.response = name.to_ascii_lowercase().into();
        self
    }

    /// The name of the request header, in lower case.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// The name of the response header, in lower case.
    pub fn response(&self) -> &str {
        &self.response
    }

    /// The header that a request with the id `value` has after its name and a colon.
    pub fn value_of(&self, value: &str) -> String {
        if self.is_bearer {
            format!("Bearer {value}")
        } else {
            value.to_owned()
        }
    }

    /// The id in a value of the request header. Other credentials, such as `Basic`, are `None`.
    pub(crate) fn id_in<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        let value = value.trim_ascii();
        if !self.is_bearer {
            return (!value.is_empty()).then_some(value);
        }
        let (scheme, id) = value.split_at_checked(b"Bearer ".len())?;
        // The scheme's case does not matter (RFC 9110, 11.1).
        scheme
            .eq_ignore_ascii_case(b"Bearer ")
            .then(|| id.trim_ascii())
    }

    /// What its ids are signed for. No cookie has a colon in its name.
    pub(crate) fn signed_name(&self) -> String {
        format!("header:{}", self.request)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it))
        };
        let taken = |name: &str| {
            TAKEN.contains(&name) || TAKEN_FAMILIES.iter().any(|it| name.starts_with(it))
        };
        let wrong = |reason| Err(ConfigError::new("SESSION_HEADER", reason));
        if !is_name(&self.request) || !is_name(&self.response) {
            return wrong("must be the name of a header, such as Authorization or X-Session");
        }
        if taken(&self.response) || (taken(&self.request) && !self.is_bearer) {
            return wrong(
                "must be Authorization, which is answered in Session-Id, or a header of your own, such as X-Session",
            );
        }
        Ok(())
    }
}

/// Names with a meaning of their own.
const TAKEN: &[&str] = &[
    "age",
    "allow",
    "authorization",
    "cache-control",
    "clear-site-data",
    "connection",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "host",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "origin",
    "range",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];

/// What such names begin with.
const TAKEN_FAMILIES: &[&str] = &[
    "accept",
    "access-control-",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "x-forwarded-",
];

impl Settings {
    /// Carries the id in headers in place of a cookie, for clients that are no browsers. Defaults
    /// to a cookie. [`IdHeader`] has what such a client must know.
    ///
    /// It is not for sessions that are shared with Flask. [`cookie`](Self::cookie) is then without
    /// effect.
    #[must_use]
    pub fn with_id_header(mut self, header: IdHeader) -> Self {
        self.id_header = Some(Arc::new(header));
        self
    }

    /// The headers that carry the id, if no cookie does.
    pub fn id_header(&self) -> Option<&Arc<IdHeader>> {
        self.id_header.as_ref()
    }

    pub(super) fn check_id_header(&self) -> Result<(), ConfigError> {
        let Some(header) = &self.id_header else {
            return Ok(());
        };
        if !self.is_native() {
            return Err(ConfigError::new(
                "SESSION_HEADER",
                "is not for sessions that are shared with Flask, which reads a cookie; leave it unset",
            ));
        }
        header.check()
    }
}
