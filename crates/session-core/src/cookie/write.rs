use std::{
    fmt::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use httpdate::HttpDate;

use super::{CookieAttributes, SameSite};
use crate::expiry::MAX_COOKIE_AGE;

/// How long the browser keeps the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// Until it is closed.
    BrowserSession,
    /// That many seconds.
    Seconds(u64),
    /// Until an instant: Flask's way.
    Until(SystemTime),
}

/// The header value that sets the cookie.
pub(crate) fn set_cookie(cookie: &CookieAttributes, value: &str, lasting: Lasting) -> String {
    header(cookie, value, |text| match lasting {
        Lasting::BrowserSession => Ok(()),
        Lasting::Seconds(seconds) => {
            write!(text, "; Max-Age={}", seconds.min(MAX_COOKIE_AGE.as_secs()))
        }
        Lasting::Until(instant) => expires(text, instant),
    })
}

/// The header value that removes the cookie, with every attribute that set it: otherwise a browser keeps a `__Host-`
/// cookie (RFC 6265bis, 5.7).
pub(crate) fn removal(cookie: &CookieAttributes) -> String {
    header(cookie, "", |text| {
        expires(text, UNIX_EPOCH)?;
        text.write_str("; Max-Age=0")
    })
}

/// The removal as Flask writes it, with name, `Domain` and `Path` alone; `Secure` and `SameSite` are added where a
/// browser would otherwise keep the cookie.
pub(crate) fn flask_removal(cookie: &CookieAttributes) -> String {
    let cross_site = cookie.same_site.filter(|it| *it == SameSite::None);
    let bare = CookieAttributes {
        secure: cookie.name.starts_with("__") || cross_site.is_some() || cookie.partitioned,
        same_site: cross_site,
        http_only: false,
        ..cookie.clone()
    };
    removal(&bare)
}

fn expires(text: &mut String, instant: SystemTime) -> fmt::Result {
    // httpdate writes years up to 9999 and panics beyond.
    let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let instant = HttpDate::from(instant.clamp(UNIX_EPOCH, latest));
    write!(text, "; Expires={instant}")
}

/// `life` writes what says how long the browser keeps the cookie.
// The order is Werkzeug's, so that a Flask application beside this one writes the same header.
fn header(
    cookie: &CookieAttributes,
    value: &str,
    life: impl FnOnce(&mut String) -> fmt::Result,
) -> String {
    let mut text = String::with_capacity(cookie.name.len() + value.len() + 128);
    for part in [&cookie.name, "=", value] {
        text.push_str(part);
    }
    if let Some(domain) = &cookie.domain {
        text.push_str("; Domain=");
        text.push_str(domain.trim_start_matches('.'));
    }
    life(&mut text).expect("a String takes every write");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_cookie_is_the_safest() {
        assert_eq!(
            set_cookie(&CookieAttributes::default(), "v", Lasting::Seconds(60)),
            "__Host-session=v; Max-Age=60; Secure; HttpOnly; Path=/; SameSite=Lax"
        );
        assert_eq!(
            set_cookie(&CookieAttributes::default(), "v", Lasting::BrowserSession),
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
    fn flasks_headers_are_reproduced() {
        let flask = CookieAttributes {
            name: "session".into(),
            secure: false,
            same_site: None,
            ..CookieAttributes::default()
        };
        let until = UNIX_EPOCH + Duration::from_secs(1_795_222_698);
        assert_eq!(
            set_cookie(&flask, "v", Lasting::Until(until)),
            "session=v; Expires=Sat, 21 Nov 2026 00:58:18 GMT; HttpOnly; Path=/"
        );
        assert_eq!(
            flask_removal(&flask),
            "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/"
        );
    }

    #[test]
    fn flasks_removal_has_only_the_attributes_that_a_browser_needs_to_take_it() {
        let removal = |name: &str, same_site| {
            flask_removal(&CookieAttributes {
                name: name.into(),
                same_site,
                ..CookieAttributes::default()
            })
        };
        let gone = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0";
        assert_eq!(
            removal("session", Some(SameSite::Lax)),
            format!("session=; {gone}; Path=/")
        );
        assert_eq!(
            removal("__Host-session", Some(SameSite::Strict)),
            format!("__Host-session=; {gone}; Secure; Path=/")
        );
        assert_eq!(
            removal("session", Some(SameSite::None)),
            format!("session=; {gone}; Secure; Path=/; SameSite=None")
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
            set_cookie(&cookie, "v", Lasting::BrowserSession)
                .starts_with("s=v; Domain=example.org;")
        );
    }

    #[test]
    fn no_age_is_beyond_400_days_and_no_instant_panics() {
        let text = set_cookie(
            &CookieAttributes::default(),
            "v",
            Lasting::Seconds(u64::MAX),
        );
        assert!(text.contains("Max-Age=34560000;"));
        let far = UNIX_EPOCH + Duration::from_secs(1 << 50);
        assert!(
            set_cookie(&CookieAttributes::default(), "v", Lasting::Until(far)).contains("9999")
        );
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert!(
            set_cookie(&CookieAttributes::default(), "v", Lasting::Until(before)).contains("1970")
        );
    }
}
