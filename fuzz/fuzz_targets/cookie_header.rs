//! A signed cookie is found among any other bytes of `Cookie` headers, and nothing in them reaches
//! the store as a session.

#![no_main]

use libfuzzer_sys::fuzz_target;
use session_core::{Settings, config::FlaskSessions};
use session_fuzz::{Bench, Watched, keys, limited};

/// How many ids of one request are looked up.
const CANDIDATES: usize = 4;

struct Case {
    bench: Bench,
    store: Watched,
    cookie: String,
    signed: bool,
}

fn case(settings: Settings, signed: bool) -> Case {
    let store = Watched::default();
    let bench = Bench::new(settings, store.clone());
    let cookie = bench.log_in().expect("a session");
    Case {
        bench,
        store,
        cookie,
        signed,
    }
}

thread_local! {
    static CASES: [Case; 5] = [
        case(Settings::new(keys()), true),
        case(Settings::new(keys()).with_flask_sessions(FlaskSessions::Keep), true),
        case(Settings::flask().with_keys(keys()), true),
        case(Settings::unsigned(), false),
        case(Settings::flask(), false),
    ];
}

fuzz_target!(|bytes: &[u8]| {
    CASES.with(|cases| {
        for case in cases {
            limited(|| case.check(bytes));
        }
    });
});

impl Case {
    fn check(&self, bytes: &[u8]) {
        let (_, session) = self.bench.open(&[bytes]).expect("the store works");
        let asked = self.store.asked();
        // The fuzzer sees what the library compares, and so learns the real cookie.
        let (_, value) = self.cookie.split_once('=').expect("a cookie");
        if !bytes.windows(value.len()).any(|it| it == value.as_bytes()) {
            assert!(session.is_new());
            assert!(asked.len() <= if self.signed { 0 } else { CANDIDATES });
        }

        // No header holds the end of a line.
        let middle = bytes.iter().position(|byte| *byte == b'\n');
        let (before, after) = bytes.split_at(middle.unwrap_or(bytes.len()));
        let cookie = self.cookie.as_bytes();
        let header = [before, b";", cookie, b";", after].concat();
        self.finds(&[&header]);
        self.finds(&[before, cookie, after]);
    }

    fn finds(&self, headers: &[&[u8]]) {
        let (_, session) = self.bench.open(headers).expect("the store works");
        let asked = self.store.asked();
        if self.signed {
            assert_eq!(asked.len(), 1);
            assert_eq!(session.get("who").expect("a text"), Some("me".to_owned()));
        } else {
            assert!((1..=CANDIDATES).contains(&asked.len()));
        }
    }
}
