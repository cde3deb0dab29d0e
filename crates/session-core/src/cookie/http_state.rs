//! Runs the public cookie tests of the http-state working group. Their licence does not allow a
//! copy here, so `cargo xtask http-state CHECKOUT` reads them from a checkout of
//! github.com/abarth/http-state.
#![cfg(feature = "flask")]
#![allow(clippy::print_stdout, reason = "it reports figures")]

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use cookie_store::CookieStore;
use serde::Deserialize;
use url::Url;

use super::{CookieAttributes, CookieLifetime, removal, set_cookie, values};
use crate::flask;

const ASKED: &str = "http://home.example.org:8888/cookie-parser";
const RESULT: &str = "http://home.example.org:8888/cookie-parser-result";
const ID: &str =
    "lCBxQhmigcoMD9lqisirUBYtGgxHw4lat3ohLhjKxL0.7EdeTPVkXLwIeSV7ilz8GTF3ZcjAJZrXkV8sNBs_F0M";

/// What a server sends in a response, and which cookies a browser sends with its next request.
#[derive(Deserialize)]
struct Case {
    test: String,
    received: Vec<String>,
    #[serde(rename = "sent-to")]
    sent_to: Option<String>,
    sent: Vec<Pair>,
}

#[derive(Deserialize, PartialEq)]
struct Pair {
    name: String,
    value: String,
}

#[test]
#[ignore = "needs a checkout of abarth/http-state: cargo xtask http-state CHECKOUT"]
fn every_case_passes() {
    let checkout = std::env::var("HTTP_STATE").expect("HTTP_STATE names the checkout");
    let file = std::path::Path::new(&checkout).join("tests/data/parser.json");
    let text = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let cases: Vec<Case> = serde_json::from_slice(&text).expect("the file holds cases");
    let (mut with_cookies, mut as_the_jar, mut names, mut own_names) = (0, 0, 0, 0);
    for case in &cases {
        // The case says what browsers send. In some cases the jar follows a later standard.
        case.reads(&case.sent);
        let jars = case.jars();
        case.reads(&jars);
        let agrees = |pair| jars.contains(pair);
        as_the_jar += u32::from(jars.len() == case.sent.len() && case.sent.iter().all(agrees));
        case.writes(&attributes("session"));
        with_cookies += u32::from(!case.sent.is_empty());
        for name in case.names() {
            names += 1;
            let attributes = attributes(name);
            if attributes.check().is_ok() {
                case.writes(&attributes);
                own_names += 1;
            }
        }
    }
    println!(
        "{} cases: the reader finds exactly what browsers send in all, which is a cookie in {with_cookies} of them and \
         nothing in the others; the jar that is used sends the same in {as_the_jar}. What the writer makes comes back \
         beside the cookies of every case, and under {own_names} of the {names} names in them; the others are none that \
         a session cookie may have.",
        cases.len()
    );
}

fn attributes(name: &str) -> CookieAttributes {
    CookieAttributes {
        name: name.to_owned(),
        // The cases are about plain HTTP.
        secure: false,
        ..CookieAttributes::default()
    }
}

impl Case {
    /// Every name that the case mentions.
    fn names(&self) -> BTreeSet<&str> {
        let received = self.received.iter().filter_map(|header| {
            let (name, _) = header.split(';').next()?.split_once('=')?;
            Some(name.trim()).filter(|name| !name.is_empty())
        });
        let sent = self.sent.iter().map(|pair| &*pair.name);
        received.chain(sent).collect()
    }

    /// In a header of these cookies, the reader finds the values of each name, all and in their
    /// order.
    fn reads(&self, cookies: &[Pair]) {
        let pairs = cookies.iter();
        let pairs: Vec<_> = pairs
            .map(|it| format!("{}={}", it.name, it.value))
            .collect();
        let header = pairs.join("; ");
        for name in self.names() {
            let found: Vec<_> = values(header.as_bytes(), name).collect();
            let sent = cookies.iter().filter(|pair| pair.name == name);
            let sent: Vec<_> = sent.map(|pair| pair.value.as_bytes()).collect();
            assert_eq!(found, sent, "{}: {name}", self.test);
        }
    }

    /// A browser with the cookies of the case.
    fn jar(&self) -> CookieStore {
        let mut jar = CookieStore::default();
        for header in &self.received {
            // Some cases are about cookies that a browser refuses.
            let _ = jar.parse(header, &url(ASKED));
        }
        jar
    }

    /// What that browser sends.
    fn jars(&self) -> Vec<Pair> {
        let sent_to = self.sent_to.as_deref().unwrap_or(RESULT);
        let result = url(ASKED).join(sent_to).expect("an address");
        let pair = |(name, value): (&str, &str)| Pair {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        self.jar().get_request_values(&result).map(pair).collect()
    }

    /// A browser with the cookies of the case accepts a cookie of the writer and sends it once.
    /// After the removal it does not send it.
    fn writes(&self, cookie: &CookieAttributes) {
        let (asked, result) = (url(ASKED), url(RESULT));
        let later = SystemTime::now() + Duration::from_secs(60);
        for (lifetime, removal) in [
            (CookieLifetime::BROWSER_SESSION, removal(cookie)),
            (CookieLifetime::seconds(60), removal(cookie)),
            (flask::cookie_lifetime(later.into()), flask::removal(cookie)),
        ] {
            let mut jar = self.jar();
            let mine = |jar: &CookieStore| {
                let pairs = jar.get_request_values(&result);
                let pairs: Vec<_> = pairs
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let header = pairs.join("; ");
                let found = values(header.as_bytes(), &cookie.name);
                found.filter(|value| *value == ID.as_bytes()).count()
            };
            let header = set_cookie(cookie, ID, lifetime);
            jar.parse(&header, &asked)
                .unwrap_or_else(|error| panic!("{}: {error}", self.test));
            assert_eq!(mine(&jar), 1, "{}: {header}", self.test);
            let _ = jar.parse(&removal, &asked);
            assert_eq!(mine(&jar), 0, "{}: {removal}", self.test);
        }
    }
}

fn url(text: &str) -> Url {
    text.parse().expect("an address")
}
