use std::fmt;

use actix_web::{
    Error, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, HeaderMap, HeaderValue, SET_COOKIE, VARY},
    },
};
use session_core::Outcome;

use crate::SessionError;

/// Writes what the session has to say into a response's head.
pub(crate) fn write(outcome: &Outcome, headers: &mut HeaderMap) {
    if let Some(cookie) = &outcome.set_cookie {
        match HeaderValue::try_from(cookie) {
            Ok(value) => {
                headers.append(SET_COOKIE, value);
                forbid_caching(headers);
            }
            Err(error) => tracing::error!(%error, "a session cookie cannot be sent"),
        }
    }
    if outcome.vary {
        vary_by_cookie(headers);
    }
}

/// Takes over the cookies that others set, for an answer that replaces theirs.
pub(crate) fn keep_cookies(from: &HeaderMap, to: &mut HeaderMap) {
    for cookie in from.get_all(SET_COOKIE) {
        to.append(SET_COOKIE, cookie.clone());
    }
}

/// Session identifiers are never cached (OWASP Session Management Cheat Sheet).
fn forbid_caching(headers: &mut HeaderMap) {
    let forbidden = headers
        .get_all(CACHE_CONTROL)
        .any(|value| names(value, "no-store"));
    if !forbidden {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Without it a shared cache gives one visitor's page to another (CVE-2023-30861).
fn vary_by_cookie(headers: &mut HeaderMap) {
    if !headers.contains_key(VARY) {
        headers.insert(VARY, HeaderValue::from_static("Cookie"));
        return;
    }
    if headers
        .get_all(VARY)
        .any(|value| names(value, "cookie") || names(value, "*"))
    {
        return;
    }
    let others: Vec<&[u8]> = headers.get_all(VARY).map(HeaderValue::as_bytes).collect();
    let merged = [&others[..], &[b"Cookie"]].concat().join(&b", "[..]);
    let merged = HeaderValue::from_bytes(&merged).unwrap_or(HeaderValue::from_static("Cookie"));
    headers.insert(VARY, merged);
}

fn names(value: &HeaderValue, name: &str) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

/// An error as an answer that also carries what the session has to say.
pub(crate) struct ErrorWithHead {
    shown: Error,
    /// The error that is not shown any more, but whose cookies are kept.
    replaced: Option<Error>,
    outcome: Outcome,
}

impl ErrorWithHead {
    /// An inner service's error.
    pub(crate) fn of(inner: Error, outcome: Outcome) -> Self {
        Self {
            shown: inner,
            replaced: None,
            outcome,
        }
    }

    /// The failure to save the session after an inner service's error.
    pub(crate) fn instead_of(inner: Error, failure: SessionError, outcome: Outcome) -> Self {
        Self {
            shown: failure.into(),
            replaced: Some(inner),
            outcome,
        }
    }
}

impl ResponseError for ErrorWithHead {
    fn status_code(&self) -> StatusCode {
        self.shown.as_response_error().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.shown.error_response();
        if let Some(replaced) = &self.replaced {
            keep_cookies(replaced.error_response().headers(), response.headers_mut());
        }
        write(&self.outcome, response.headers_mut());
        response
    }
}

impl fmt::Debug for ErrorWithHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown, f)
    }
}

impl fmt::Display for ErrorWithHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.shown, f)
    }
}
