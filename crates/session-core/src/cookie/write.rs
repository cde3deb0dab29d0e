//! Writes the `Set-Cookie` header that sets or removes the session cookie.

use std::{
    fmt::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use httpdate::HttpDate;

use super::CookieAttributes;
use crate::expiry::MAX_COOKIE_AGE;

/// How long the browser keeps the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CookieLifetime {
    pub(crate) until: Option<SystemTime>,
    pub(crate) seconds: Option<u64>,
}

impl CookieLifetime {
    /// Until the browser is closed.
    pub(crate) const BROWSER_SESSION: Self = Self {
        until: None,
        seconds: None,
    };

    pub(crate) fn seconds(seconds: u64) -> Self {
        Self {
            until: None,
            seconds: Some(seconds),
        }
    }
}

/// The header value that removes the cookie. It repeats every attribute; otherwise a browser keeps
/// a `__Host-` cookie (RFC 6265bis, 5.7).
pub(crate) fn removal(cookie: &CookieAttributes) -> String {
    let over = CookieLifetime {
        until: Some(UNIX_EPOCH),
        seconds: Some(0),
    };
    set_cookie(cookie, "", over)
}

/// The header value that sets the cookie.
// The order is Werkzeug's, so that a Flask application on the same site writes the same header.
pub(crate) fn set_cookie(
    cookie: &CookieAttributes,
    value: &str,
    lifetime: CookieLifetime,
) -> String {
    let mut text = String::with_capacity(cookie.name.len() + value.len() + 128);
    for part in [&cookie.name, "=", value] {
        text.push_str(part);
    }
    if let Some(domain) = &cookie.domain {
        text.push_str("; Domain=");
        text.push_str(domain.trim_start_matches('.'));
    }
    write_life(&mut text, lifetime).expect("a String takes every write");
    if cookie.secure {
        text.push_str("; Secure");
    }
    if cookie.http_only {
        text.push_str("; HttpOnly");
    }
    text.push_str("; Path=");
    text.push_str(&cookie.path);
    if let Some(same_site) = cookie.same_site {
        text.push_str("; SameSite=");
        text.push_str(same_site.as_str());
    }
    if cookie.partitioned {
        text.push_str("; Partitioned");
    }
    text
}

fn write_life(text: &mut String, lifetime: CookieLifetime) -> fmt::Result {
    if let Some(until) = lifetime.until {
        // httpdate writes years up to 9999 and panics beyond.
        let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        let until = HttpDate::from(until.clamp(UNIX_EPOCH, latest));
        write!(text, "; Expires={until}")?;
    }
    if let Some(seconds) = lifetime.seconds {
        write!(text, "; Max-Age={}", seconds.min(MAX_COOKIE_AGE.as_secs()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::SameSite;

    fn until(until: SystemTime) -> CookieLifetime {
        CookieLifetime {
            until: Some(until),
            seconds: None,
        }
    }

    #[test]
    fn the_default_cookie_is_the_safest() {
        assert_eq!(
            set_cookie(
                &CookieAttributes::default(),
                "v",
                CookieLifetime::seconds(60)
            ),
            "__Host-session=v; Max-Age=60; Secure; HttpOnly; Path=/; SameSite=Lax"
        );
        assert_eq!(
            set_cookie(
                &CookieAttributes::default(),
                "v",
                CookieLifetime::BROWSER_SESSION
            ),
            "__Host-session=v; Secure; HttpOnly; Path=/; SameSite=Lax"
        );
    }

    #[test]
    fn a_removal_repeats_every_attribute() {
        let cookie = CookieAttributes {
            name: "s".into(),
            domain: Some("example.org".into()),
            path: "/app".into(),
            same_site: Some(SameSite::None),
            partitioned: true,
            ..CookieAttributes::default()
        };
        assert_eq!(
            removal(&cookie),
            "s=; Domain=example.org; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Secure; HttpOnly; Path=/app; \
             SameSite=None; Partitioned"
        );
    }

    #[test]
    fn a_domain_is_written_without_the_dot_that_browsers_ignore() {
        let cookie = CookieAttributes {
            name: "s".into(),
            domain: Some(".example.org".into()),
            ..CookieAttributes::default()
        };
        assert!(
            set_cookie(&cookie, "v", CookieLifetime::BROWSER_SESSION)
                .starts_with("s=v; Domain=example.org;")
        );
    }

    #[test]
    fn no_age_is_beyond_400_days_and_no_instant_panics() {
        let text = set_cookie(
            &CookieAttributes::default(),
            "v",
            CookieLifetime::seconds(u64::MAX),
        );
        assert!(text.contains("Max-Age=34560000;"));
        let far = UNIX_EPOCH + Duration::from_secs(1 << 50);
        assert!(set_cookie(&CookieAttributes::default(), "v", until(far)).contains("9999"));
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert!(set_cookie(&CookieAttributes::default(), "v", until(before)).contains("1970"));
    }
}
