//! A signed cookie is valid only if it is exactly what was signed. The only other spelling is the
//! quotes that Flask reads. So is the name of a session in a list.

#![no_main]

use libfuzzer_sys::fuzz_target;
use session_core::{Lineage, Settings, config::FlaskSessions};
use session_fuzz::{Bench, SECRET, Watched, edited, keys, limited};

const NEWER: &str = "a newer key of some forty characters, 22";

struct Case {
    bench: Bench,
    store: Watched,
    name: String,
    value: String,
    flask: bool,
}

/// `signing` makes the cookie, `verifying` looks at what became of it.
fn case(signing: Settings, verifying: Settings) -> Case {
    let store = Watched::default();
    let cookie = Bench::new(signing, store.clone()).log_in();
    let cookie = cookie.expect("a session");
    let (name, value) = cookie.split_once('=').expect("a cookie");
    let _ = store.asked();
    Case {
        bench: Bench::new(verifying, store.clone()),
        store,
        flask: name == "session",
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

thread_local! {
    static CASES: [Case; 4] = {
        let native = || Settings::new(keys());
        let flask = || Settings::flask().with_keys(keys());
        let rotated = || {
            let keys = session_core::SecretKeys::new(NEWER).expect("a strong key");
            keys.with_fallback(SECRET).expect("another")
        };
        let beside = || Settings::new(rotated()).with_flask_sessions(FlaskSessions::Keep);
        [
            case(native(), native()),
            case(native(), beside()),
            case(flask(), flask()),
            case(flask(), beside().with_cookie(flask().cookie().clone())),
        ]
    };
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(lineage) = text.parse::<Lineage>()
    {
        assert_eq!(lineage.as_str(), text);
    }
    CASES.with(|cases| {
        for case in cases {
            limited(|| {
                case.check(bytes);
                case.check(&edited(case.value.as_bytes(), bytes));
            });
        }
    });
});

impl Case {
    fn check(&self, value: &[u8]) {
        let header = [self.name.as_bytes(), b"=", value].concat();
        let (_, session) = self.bench.open(&[&header]).expect("the store works");
        let value = value.split(|byte| *byte == b';').next();
        let value = value.and_then(|it| std::str::from_utf8(it).ok());
        let value = value.map(|it| it.trim_matches([' ', '\t']));
        let quoted = value.is_some_and(|it| it.starts_with('"') && it.ends_with('"'));
        let asked = self.store.asked().len();
        if quoted && self.flask {
            assert!(asked <= 1);
            return;
        }
        let exact = value == Some(&self.value);
        assert_eq!(asked, usize::from(exact));
        assert_eq!(session.is_new(), !exact);
    }
}
