//! The public cookie tests of the http-state working group, run against this reader and writer. Their text is not ours
//! to copy: `cargo xtask http-state CHECKOUT` reads it from a checkout of github.com/abarth/http-state.
#![allow(clippy::print_stdout, reason = "it reports figures")]

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use cookie_store::CookieStore;
use serde::Deserialize;
use url::Url;

use super::{CookieAttributes, Lasting, flask_removal, removal, set_cookie, values};

const ASKED: &str = "http://home.example.org:8888/cookie-parser";
const RESULT: &str = "http://home.example.org:8888/cookie-parser-result";
const ID: &str =
    "lCBxQhmigcoMD9lqisirUBYtGgxHw4lat3ohLhjKxL0.7EdeTPVkXLwIeSV7ilz8GTF3ZcjAJZrXkV8sNBs_F0M";

/// What a server sends in answer to one request, and which cookies a browser sends with the next.
#[derive(Deserialize)]
struct Case {
    test: String,
    received: Vec<String>,
    sent: Vec<Pair>,
}

#[derive(Deserialize)]
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
    let (mut with_cookies, mut own_names) = (0, 0);
    for case in &cases {
        case.reads();
        case.writes(&attributes("session"));
        with_cookies += u32::from(!case.sent.is_empty());
        for name in case.names() {
            let attributes = attributes(name);
            if attributes.check().is_ok() {
                case.writes(&attributes);
                own_names += 1;
            }
        }
    }
    println!(
        "{} cases: the reader finds what browsers send in {with_cookies} and nothing in the others; cookies that the \
         writer makes come back beside the cookies of each, {own_names} times under a name of the case itself",
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
        let set = self.received.iter().filter_map(|header| {
            let (name, _) = header.split(';').next()?.split_once('=')?;
            Some(name.trim()).filter(|name| !name.is_empty())
        });
        let sent = self.sent.iter().map(|pair| &*pair.name);
        set.chain(sent).collect()
    }

    /// In the header that a browser sends, the reader finds the values of each name, all and in their order.
    fn reads(&self) {
        let pairs = self.sent.iter();
        let pairs: Vec<_> = pairs
            .map(|it| format!("{}={}", it.name, it.value))
            .collect();
        let header = pairs.join("; ");
        for name in self.names() {
            let found: Vec<_> = values(header.as_bytes(), name).collect();
            let sent = self.sent.iter().filter(|pair| pair.name == name);
            let sent: Vec<_> = sent.map(|pair| pair.value.as_bytes()).collect();
            assert_eq!(found, sent, "{}: {name}", self.test);
        }
    }

    /// A browser that has the cookies of the case takes a cookie that the writer makes and sends it once; after its
    /// removal it sends it no more.
    fn writes(&self, cookie: &CookieAttributes) {
        let (asked, result) = (url(ASKED), url(RESULT));
        let later = SystemTime::now() + Duration::from_secs(60);
        for (lasting, removal) in [
            (Lasting::BrowserSession, removal(cookie)),
            (Lasting::Seconds(60), removal(cookie)),
            (Lasting::Until(later), flask_removal(cookie)),
        ] {
            let mut jar = CookieStore::default();
            for header in &self.received {
                // What the jar does not take is the case's own subject.
                let _ = jar.parse(header, &asked);
            }
            let mine = |jar: &CookieStore| {
                let pairs = jar.get_request_values(&result);
                let pairs: Vec<_> = pairs
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let header = pairs.join("; ");
                let found = values(header.as_bytes(), &cookie.name);
                found.filter(|value| *value == ID.as_bytes()).count()
            };
            let header = set_cookie(cookie, ID, lasting);
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
