//! A response of the demo, and what it does to the cookie.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, SET_COOKIE};
use serde_json::Value;

/// What came back, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// From the first byte sent to the last byte received, without stalls of the machine.
    pub(crate) took: Duration,
}

/// What an answer says about the session's cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    Untouched,
    Set(String),
    Removed,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} {error}: {}", self.status, self.text()))
    }

    /// The header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The only `Set-Cookie` there may be, as it was sent.
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        let mut all = self.headers.get_all(SET_COOKIE).iter();
        let first = all.next().map(|value| value.to_str().expect("ASCII"));
        assert!(
            all.next().is_none(),
            "more than one cookie: {:?}",
            self.headers
        );
        first
    }

    pub(crate) fn cookie(&self) -> Cookie {
        let Some(text) = self.set_cookie() else {
            return Cookie::Untouched;
        };
        let pair = text.split(';').next().unwrap_or_default();
        let value = pair.strip_prefix("session=").expect("the session's cookie");
        if text.contains("Max-Age=0") {
            Cookie::Removed
        } else {
            Cookie::Set(value.to_owned())
        }
    }

    /// When the browser drops the cookie that was set: by `Max-Age`, or else by `Expires` (RFC
    /// 6265, 5.3).
    pub(crate) fn cookie_end(&self, now: SystemTime) -> Option<SystemTime> {
        let text = self.set_cookie()?;
        let value = |name| text.split("; ").find_map(|part| part.strip_prefix(name));
        if let Some(age) = value("Max-Age=") {
            return Some(now + Duration::from_secs(age.parse().expect("seconds")));
        }
        let date = httpdate::parse_http_date(value("Expires=")?);
        Some(date.expect("a date"))
    }

    /// Panics unless it is a success without a body.
    pub(crate) fn is_empty_success(&self) -> bool {
        self.status == 204 && self.body.is_empty()
    }
}
