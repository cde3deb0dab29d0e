//! A browser's cookies, by RFC 6265.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The host that every request goes to.
const HOST: &str = "example.org";
/// The path that every request goes to.
const PATH: &str = "/app/page";

/// A browser's cookies, by RFC 6265, section 5, over TLS.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    cookies: Vec<Cookie>,
    born: u64,
    /// Breaks the browser, to show what that hides or shows.
    ignores_max_age: bool,
}

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    host_only: bool,
    path: String,
    /// None for one that ends with the browser.
    expires_at: Option<SystemTime>,
    created: u64,
}

impl Browser {
    pub(crate) fn new(ignores_max_age: bool) -> Self {
        Self {
            ignores_max_age,
            ..Self::default()
        }
    }

    /// Takes a `Set-Cookie` header (5.2 and 5.3).
    pub(crate) fn receive(&mut self, header: &str, now: SystemTime) {
        let mut parts = header.split(';');
        let pair = parts.next().unwrap_or_default();
        let Some((name, value)) = pair.split_once('=') else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return;
        }
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: HOST.to_owned(),
            host_only: true,
            path: default_path(PATH).to_owned(),
            expires_at: None,
            created: self.born,
        };
        let (mut max_age, mut expires, mut secure) = (None, None, false);
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "max-age" => max_age = parse_max_age(value).or(max_age),
                "expires" => expires = parse_date(value).or(expires),
                "domain" if !value.is_empty() => {
                    cookie.domain = value.trim_start_matches('.').to_ascii_lowercase();
                    cookie.host_only = false;
                }
                "path" => {
                    cookie.path = if value.starts_with('/') {
                        value.to_owned()
                    } else {
                        default_path(PATH).to_owned()
                    };
                }
                "secure" => secure = true,
                _ => {}
            }
        }
        let at_home = cookie.host_only && cookie.path == "/";
        if (name.starts_with("__Secure-") && !secure)
            || (name.starts_with("__Host-") && !(secure && at_home))
            || !(cookie.host_only || domain_matches(HOST, &cookie.domain))
        {
            return;
        }
        // Max-Age has precedence over Expires.
        cookie.expires_at = match max_age.filter(|_| !self.ignores_max_age) {
            Some(seconds) if seconds <= 0 => Some(UNIX_EPOCH),
            Some(seconds) => Some(now + Duration::from_secs(seconds.unsigned_abs())),
            None => expires,
        };
        self.born += 1;
        let same = |it: &Cookie| {
            it.name == cookie.name
                && it.domain == cookie.domain
                && it.host_only == cookie.host_only
                && it.path == cookie.path
        };
        if let Some(position) = self.cookies.iter().position(same) {
            cookie.created = self.cookies[position].created;
            self.cookies.remove(position);
        }
        if cookie.expires_at.is_none_or(|it| it > now) {
            self.cookies.push(cookie);
        }
    }

    /// The `Cookie` header of a request (5.4), empty if there is none.
    pub(crate) fn header(&mut self, now: SystemTime) -> String {
        self.cookies
            .retain(|it| it.expires_at.is_none_or(|end| end > now));
        let mut sent: Vec<_> = self
            .cookies
            .iter()
            .filter(|it| it.host_only || domain_matches(HOST, &it.domain))
            .filter(|it| path_matches(PATH, &it.path))
            .collect();
        sent.sort_by(|a, b| {
            let longer = b.path.len().cmp(&a.path.len());
            longer.then(a.created.cmp(&b.created))
        });
        let mut header = String::new();
        for cookie in sent {
            if !header.is_empty() {
                header.push_str("; ");
            }
            header.push_str(&cookie.name);
            header.push('=');
            header.push_str(&cookie.value);
        }
        header
    }
}

/// 5.2.2: a sign and digits; anything else is no attribute.
fn parse_max_age(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    Some(
        value
            .parse()
            .unwrap_or(i64::MAX / 1_000_000)
            .min(i64::MAX / 1_000_000),
    )
}

/// 5.1.1: a date is found among its tokens, in whatever order they come.
fn parse_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let delimiter = |it: char| matches!(it, '\t' | ' '..='/' | ';'..='@' | '['..='`' | '{'..='~');
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(delimiter).filter(|it| !it.is_empty()) {
        let digits = |most: usize| -> Option<u64> {
            let end = token.bytes().take_while(u8::is_ascii_digit).count();
            (1..=most)
                .contains(&end)
                .then(|| token[..end].parse().ok())?
        };
        if time.is_none()
            && let Some(found) = parse_time(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = digits(2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = token.get(..3).and_then(|start| {
                let start = start.to_ascii_lowercase();
                MONTHS.iter().position(|it| *it == start)
            })
        {
            month = Some(found as u64 + 1);
        } else if year.is_none()
            && let Some(found) = digits(4).filter(|_| token.len() >= 2)
        {
            year = Some(match found {
                0..=69 => found + 2000,
                70..=99 => found + 1900,
                _ => found,
            });
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    if !(1..=31).contains(&day) || year < 1601 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_since_1970(year, month, day);
    Some(UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

fn parse_time(token: &str) -> Option<(u64, u64, u64)> {
    let mut fields = token.split(':').map(|it| {
        let end = it.bytes().take_while(u8::is_ascii_digit).count();
        (1..=2).contains(&end).then(|| it[..end].parse().ok())?
    });
    let time = (fields.next()??, fields.next()??, fields.next()??);
    fields.next().is_none().then_some(time)
}

/// 1970 for what was before, which is past anyway.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years that begin in March, so that the leap day is the last.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    days.saturating_sub(719_468)
}

/// 5.1.3.
fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// 5.1.4.
fn path_matches(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

/// 5.1.4: up to the last slash, without it.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(last) => &path[..last],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_cookie_lives_as_long_as_it_says_and_max_age_wins() {
        let mut browser = Browser::default();
        browser.receive(
            "a=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            at(100),
        );
        browser.receive("b=2; Expires=Thu, 01 Jan 1970 00:01:50 GMT", at(100));
        browser.receive("c=3", at(100));
        assert_eq!(browser.header(at(109)), "a=1; b=2; c=3");
        assert_eq!(browser.header(at(110)), "c=3");
        browser.receive("c=; Max-Age=0", at(111));
        assert_eq!(browser.header(at(111)), "");
    }

    #[test]
    fn longer_paths_come_first_and_then_older_cookies() {
        let mut browser = Browser::default();
        browser.receive("s=root; Path=/", at(1));
        browser.receive("t=root; Path=/", at(1));
        browser.receive("s=app; Path=/app", at(1));
        browser.receive("s=other; Path=/ap", at(1));
        browser.receive("s=again; Path=/", at(1));
        assert_eq!(browser.header(at(2)), "s=app; s=again; t=root");
    }

    #[test]
    fn a_cookie_that_is_not_for_this_host_is_refused() {
        let mut browser = Browser::default();
        browser.receive("a=1; Domain=example.com", at(1));
        browser.receive("b=1; Domain=.Example.org", at(1));
        browser.receive("__Host-c=1; Secure; Path=/app", at(1));
        browser.receive("__Host-d=1; Secure; Path=/", at(1));
        assert_eq!(browser.header(at(2)), "b=1; __Host-d=1");
    }

    #[test]
    fn dates_are_read_in_every_form() {
        for text in [
            "Sat, 21 Nov 2026 00:58:18 GMT",
            "Saturday, 21-Nov-26 00:58:18 GMT",
            "21 nov 2026 0:58:18",
        ] {
            assert_eq!(parse_date(text), Some(at(1_795_222_698)), "{text}");
        }
        assert_eq!(parse_date("tomorrow"), None);
    }
}
