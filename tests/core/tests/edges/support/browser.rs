//! A browser that obeys the ends and the order of cookies.

use std::{
    cmp::Reverse,
    sync::{Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use session_core::{RequestSession, ResponseHeaders, Result, Session};

use super::Time;

/// The longest that a browser keeps a cookie (RFC 6265bis, 5.5).
const LONGEST: Duration = Duration::from_secs(400 * 86_400);

/// A browser: its cookies end when `Max-Age` or `Expires` says so, and are sent in the order of RFC
/// 6265, 5.4.
#[derive(Debug)]
pub(crate) struct Browser {
    time: Time,
    cookies: Mutex<Vec<Kept>>,
}

/// A cookie, in the order in which they were first set.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    name: String,
    value: String,
    domain: Option<String>,
    path: String,
    end: Option<SystemTime>,
}

impl Clone for Browser {
    /// The `Cookie` header that the browser sends now, kept for later.
    fn clone(&self) -> Self {
        Self {
            time: self.time.clone(),
            cookies: Mutex::new(self.cookies().clone()),
        }
    }
}

impl Browser {
    pub(super) fn new(time: Time) -> Self {
        Self {
            time,
            cookies: Mutex::default(),
        }
    }

    fn cookies(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.cookies.lock().unwrap()
    }

    /// The session of a request for `/`.
    pub(crate) async fn session(&self, request_session: &RequestSession) -> Result<Session> {
        let header = self.header("/");
        request_session
            .session(&mut header.as_deref().map(str::as_bytes).into_iter())
            .await
    }

    /// The `Cookie` header of a request for `path`.
    pub(crate) fn header(&self, path: &str) -> Option<String> {
        let now = self.time.now();
        let mut cookies = self.cookies();
        cookies.retain(|cookie| cookie.end.is_none_or(|end| end > now));
        let mut sent: Vec<_> = cookies.iter().filter(|it| it.goes_to(path)).collect();
        sent.sort_by_key(|cookie| Reverse(cookie.path.len()));
        let pairs: Vec<_> = sent
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Takes the cookie of an answer, if it sets one.
    pub(crate) fn receive(&self, outcome: &ResponseHeaders) {
        let device = outcome.device.as_ref();
        let removal = device.and_then(|it| it.set_cookie.as_ref());
        let removals = removal.into_iter().chain(&outcome.remove_flask_cookie);
        for set_cookie in outcome.set_cookie.iter().chain(removals) {
            self.set(set_cookie);
        }
    }

    /// Forgets the cookies of this name.
    pub(crate) fn forget(&self, name: &str) {
        self.cookies().retain(|cookie| cookie.name != name);
    }

    /// Takes the value of a `Set-Cookie` header.
    pub(crate) fn set(&self, set_cookie: &str) {
        let now = self.time.now();
        let (pair, attributes) = set_cookie.split_once(';').unwrap_or((set_cookie, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let attribute = |wanted: &str| {
            let mut all = attributes.split(';').filter_map(|it| it.split_once('='));
            all.rfind(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim().to_owned())
        };
        let age = attribute("max-age").map(|age| age.parse::<i64>().unwrap());
        let end = match age {
            Some(age) => {
                let age = u64::try_from(age).unwrap_or_default();
                Some(now + Duration::from_secs(age))
            }
            None => attribute("expires").map(|date| httpdate::parse_http_date(&date).unwrap()),
        };
        let set = Kept {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            domain: attribute("domain"),
            path: attribute("path").unwrap_or_else(|| "/".into()),
            end: end.map(|end| end.min(now + LONGEST)),
        };
        let ends_at_once = set.end.is_some_and(|end| end <= now);
        let mut cookies = self.cookies();
        match cookies.iter().position(|kept| kept.is_replaced_by(&set)) {
            Some(place) if ends_at_once => drop(cookies.remove(place)),
            Some(place) => cookies[place] = set,
            None if ends_at_once => {}
            None => cookies.push(set),
        }
    }

    /// When the only cookie ends; `None` if it ends with the browser.
    pub(crate) fn cookie_end(&self) -> Option<SystemTime> {
        let cookies = self.cookies();
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        cookies[0].end
    }

    /// Gives the browser the cookies of another one, behind its own.
    pub(crate) fn add(&self, other: &Self) {
        self.cookies().extend(other.cookies().iter().cloned());
    }
}

impl Kept {
    fn goes_to(&self, path: &str) -> bool {
        path.strip_prefix(&self.path).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        })
    }

    fn is_replaced_by(&self, other: &Self) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }
}

#[test]
fn a_browser_drops_a_cookie_when_its_time_is_over() {
    let time = Time::new();
    let browser = Browser::new(time.clone());
    let date = httpdate::fmt_http_date(time.now() + Duration::from_secs(30));
    browser.set("a=1; Path=/; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
    browser.set(&format!("b=2; Path=/; Expires={date}"));
    browser.set("c=3; Path=/");
    assert_eq!(browser.header("/").as_deref(), Some("a=1; b=2; c=3"));
    time.advance(Duration::from_secs(10));
    assert_eq!(browser.header("/").as_deref(), Some("b=2; c=3"));
    time.advance(Duration::from_secs(20));
    assert_eq!(browser.header("/").as_deref(), Some("c=3"));
    browser.set("c=; Path=/; Max-Age=0");
    assert_eq!(browser.header("/"), None);
}

#[test]
fn a_browser_sends_the_cookie_of_the_longer_path_first_then_the_older() {
    let browser = Browser::new(Time::new());
    browser.set("id=root; Path=/");
    browser.set("id=app; Path=/app");
    browser.set("id=wide; Path=/; Domain=example.org");
    browser.set("id=newer; Path=/");
    let all = browser.header("/app/page");
    assert_eq!(all.as_deref(), Some("id=app; id=newer; id=wide"));
    assert_eq!(
        browser.header("/apple").as_deref(),
        Some("id=newer; id=wide")
    );
}
