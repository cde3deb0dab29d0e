//! The Flask profile behaves as Flask-Session does; and what the native profile does with Flask's
//! sessions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use session_core::{
    CookieAttributes, Finish, Format, KeyPrefix, MemoryStore, ResponseHeaders, SecretKeys, Session,
    SessionId, SessionStore, Sessions, Settings, StoreKey, Value, config::FlaskSessions,
};

struct Site {
    sessions: Sessions,
    store: Arc<MemoryStore>,
}

impl Site {
    fn new(settings: Settings) -> Self {
        let store = Arc::new(MemoryStore::new());
        let builder = Sessions::builder(settings, store.clone());
        let sessions = builder.without_owner_lists().build().unwrap();
        Self { sessions, store }
    }

    /// One request with `cookie`, and what its answer's head says.
    async fn request(&self, cookie: &str, handler: impl FnOnce(&Session)) -> ResponseHeaders {
        let visit = self.sessions.begin_request();
        let headers = [cookie.as_bytes()];
        let session = visit.session(&mut headers.into_iter()).await.unwrap();
        handler(&session);
        match visit.finish() {
            Finish::Ready(outcome) => outcome,
            Finish::Pending(saving) => saving.await.unwrap(),
        }
    }

    /// The record under the plain id, where Flask looks for it.
    async fn found(&self, cookie: &str) -> Option<Vec<u8>> {
        let id = cookie.strip_prefix("session=").unwrap();
        let id = id.split('.').next().unwrap();
        let key = StoreKey::from_stored(format!("session:{id}"));
        let record = self.store.load(&key).await.unwrap();
        record.map(|record| record.bytes.to_vec())
    }

    async fn stored(&self, cookie: &str) -> Vec<u8> {
        self.found(cookie).await.expect("Flask finds a record")
    }

    /// The same store under other settings.
    fn under(&self, settings: Settings) -> Self {
        let store = self.store.clone();
        let builder = Sessions::builder(settings, store.clone());
        let sessions = builder.without_owner_lists().build().unwrap();
        Self { sessions, store }
    }
}

/// The browser's part of a `Set-Cookie`.
fn kept(outcome: &ResponseHeaders) -> String {
    let header = outcome.set_cookie.as_deref().expect("a cookie is set");
    header.split(';').next().unwrap().to_owned()
}

const REMOVAL: &str = "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/";

#[tokio::test]
async fn a_session_emptied_before_it_was_stored_removes_the_cookie() {
    for permanent in [true, false] {
        let site = Site::new(Settings::flask().with_permanent(permanent));
        for handler in [
            Session::clear,
            |session: &Session| session.set_permanent(true),
            |session: &Session| {
                session.flash("info", "hello").unwrap();
                session.take_flashes().unwrap();
            },
        ] {
            let outcome = site.request("", handler).await;
            assert_eq!(outcome.set_cookie.as_deref(), Some(REMOVAL));
            assert!(outcome.vary);
        }
        for handler in [
            |_: &Session| (),
            Session::renew,
            |session: &Session| {
                session.remove("nothing");
            },
        ] {
            let outcome = site.request("", handler).await;
            assert_eq!(outcome.set_cookie, None);
        }
    }
}

#[tokio::test]
async fn clearing_notes_that_a_session_is_not_permanent() {
    let site = Site::new(Settings::flask().with_permanent(false));
    let outcome = site
        .request("", |session| session.insert("a", "x").unwrap())
        .await;
    let cookie = kept(&outcome);
    assert_eq!(site.stored(&cookie).await, b"\x81\xa1a\xa1x");
    let outcome = site
        .request(&cookie, |session| {
            session.clear();
            session.insert("a", "y").unwrap();
        })
        .await;
    assert_eq!(kept(&outcome), cookie);
    assert_eq!(
        site.stored(&cookie).await,
        b"\x82\xaa_permanent\xc2\xa1a\xa1y"
    );
}

#[tokio::test]
async fn an_encoded_value_is_stored_as_it_is() {
    let site = Site::new(Settings::flask().with_format(Format::Json));
    let outcome = site
        .request("", |session| {
            let bytes = session_core::Dynamic::Bytes(vec![0, 255]);
            let value = bytes.to_value(Format::Json).unwrap();
            session.insert_value("a", value).unwrap();
            let reserved = Value::encode(&1, Format::Json).unwrap();
            assert!(session.insert_value("__session", reserved).is_err());
        })
        .await;
    assert_eq!(
        site.stored(&kept(&outcome)).await,
        br#"{"_permanent":true,"a":"AP8="}"#
    );
}

const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";

fn keys() -> SecretKeys {
    SecretKeys::of_flask(SECRET).unwrap()
}

/// A native application under the name of Flask's cookie.
fn native(flask_sessions: FlaskSessions) -> Settings {
    Settings::new(keys())
        .with_cookie(CookieAttributes {
            name: "session".into(),
            ..CookieAttributes::default()
        })
        .with_flask_sessions(flask_sessions)
}

/// A session that the Flask profile signed and stored: its cookie and its record.
async fn of_flask(site: &Site) -> (String, Vec<u8>) {
    let outcome = site
        .request("", |session| session.insert("a", "x").unwrap())
        .await;
    let cookie = kept(&outcome);
    let record = site.stored(&cookie).await;
    (cookie, record)
}

#[tokio::test]
async fn flasks_sessions_are_none_unless_they_are_asked_for() {
    let flask = Site::new(Settings::flask().with_keys(keys()));
    let (cookie, record) = of_flask(&flask).await;
    let site = flask.under(native(FlaskSessions::Ignore));
    let outcome = site
        .request(&cookie, |session| {
            assert!(session.is_new());
            session.insert("b", "y").unwrap();
        })
        .await;
    assert_ne!(kept(&outcome), cookie);
    assert_eq!(flask.stored(&cookie).await, record);
}

#[tokio::test]
async fn flasks_sessions_are_kept_where_they_are_and_new_ones_are_native() {
    let flask = Site::new(Settings::flask().with_keys(keys()));
    let (cookie, _) = of_flask(&flask).await;
    let site = flask.under(native(FlaskSessions::Keep));
    let outcome = site
        .request(&cookie, |session| {
            assert_eq!(session.get::<String>("a").unwrap().unwrap(), "x");
            session.insert("b", "y").unwrap();
        })
        .await;
    assert_eq!(kept(&outcome), cookie);
    assert_eq!(
        flask.stored(&cookie).await,
        b"\x83\xaa_permanent\xc3\xa1a\xa1x\xa1b\xa1y"
    );

    let outcome = site
        .request("", |session| session.insert("b", "y").unwrap())
        .await;
    assert_eq!(flask.found(&kept(&outcome)).await, None);
}

#[tokio::test]
async fn a_cookie_in_double_quotes_is_read_where_it_is_flasks() {
    let quoted = |cookie: &str| {
        let value = cookie.strip_prefix("session=").unwrap();
        let (first, rest) = value.split_at(1);
        let octal = format!(r"\{:03o}{rest}", first.as_bytes()[0]);
        [value, &octal].map(|it| format!("session=\"{it}\""))
    };
    for (settings, flask_keys) in [
        (Settings::flask(), None),
        (Settings::flask().with_keys(keys()), Some(keys())),
    ] {
        let flask = Site::new(settings);
        let (cookie, _) = of_flask(&flask).await;
        let kept = native(FlaskSessions::Keep).with_flask_keys(flask_keys);
        let kept = flask.under(kept);
        for cookie in quoted(&cookie) {
            for site in [&flask, &kept] {
                let outcome = site
                    .request(&cookie, |session| {
                        assert!(session.contains("a"), "{cookie}");
                    })
                    .await;
                assert!(outcome.vary);
            }
        }
    }
    // A native cookie has no quotes.
    let site = Site::new(native(FlaskSessions::Keep));
    let outcome = site
        .request("", |session| session.insert("a", "x").unwrap())
        .await;
    for cookie in quoted(&kept(&outcome)) {
        let outcome = site
            .request(&cookie, |session| assert!(session.is_new()))
            .await;
        assert!(outcome.set_cookie.is_none());
    }
}

#[tokio::test]
async fn flasks_sessions_move_when_they_are_saved_and_their_ids_open_nothing_more() {
    let flask = Site::new(Settings::flask().with_keys(keys()));
    let (old, _) = of_flask(&flask).await;
    let site = flask.under(native(FlaskSessions::Move));
    let outcome = site
        .request(&old, |session| {
            assert_eq!(session.get::<String>("a").unwrap().unwrap(), "x");
        })
        .await;
    // Read, it stays under its id; when its cookie ends stands nowhere, so each answer moves that.
    assert_eq!(kept(&outcome), old, "{outcome:?}");

    let outcome = site
        .request(&old, |session| session.insert("b", "y").unwrap())
        .await;
    let new = kept(&outcome);
    assert_ne!(new, old);
    assert_eq!(flask.found(&old).await, None);
    assert_eq!(flask.found(&new).await, None);
    let outcome = site
        .request(&new, |session| {
            assert_eq!(session.get::<String>("a").unwrap().unwrap(), "x");
            assert_eq!(session.get::<String>("b").unwrap().unwrap(), "y");
            assert!(session.lineage().is_some());
        })
        .await;
    assert!(outcome.vary);
    let outcome = site
        .request(&old, |session| assert!(session.is_new()))
        .await;
    assert!(outcome.set_cookie.is_none());
}

#[tokio::test]
async fn flasks_cookies_are_believed_as_flask_signs_them() {
    let new = || SecretKeys::new("a newer key of some forty characters, 22").unwrap();
    let weak = || SecretKeys::of_flask("dev").unwrap();
    let moving = || Settings::new(new()).with_flask_sessions(FlaskSessions::Move);
    let named = |settings: Settings| {
        settings.with_cookie(CookieAttributes {
            name: "session".into(),
            ..CookieAttributes::default()
        })
    };
    for (flask, native, believed) in [
        (Settings::flask(), moving(), false),
        (Settings::flask(), moving().with_flask_keys(None), true),
        (Settings::flask().with_keys(new()), moving(), true),
        (Settings::flask().with_keys(weak()), moving(), false),
        (
            Settings::flask().with_keys(weak()),
            moving().with_flask_keys(Some(weak())),
            true,
        ),
        (
            Settings::flask().with_keys(weak()),
            moving().with_flask_keys(None),
            false,
        ),
    ] {
        let flask = Site::new(flask);
        let (cookie, _) = of_flask(&flask).await;
        let site = flask.under(named(native));
        let outcome = site
            .request(&cookie, |session| {
                assert_eq!(session.contains("a"), believed);
                session.insert("b", "y").unwrap();
            })
            .await;
        let new = kept(&outcome);
        let outcome = site
            .request(&new, |session| {
                assert_eq!(session.contains("a"), believed);
                assert!(session.contains("b"));
            })
            .await;
        assert!(outcome.vary);
        // What is native is signed, whatever Flask does.
        let bare = new.split('.').next().unwrap();
        let outcome = site
            .request(bare, |session| assert!(session.is_new()))
            .await;
        assert!(outcome.set_cookie.is_none());
    }
}

#[tokio::test]
async fn a_native_records_key_is_no_flask_id() {
    let settings = native(FlaskSessions::Keep).with_flask_keys(None);
    let site = Site::new(settings);
    let outcome = site
        .request("", |session| session.insert("a", "x").unwrap())
        .await;
    let cookie = kept(&outcome);
    let id = cookie.strip_prefix("session=").unwrap();
    let id = SessionId::from_flask(id.split('.').next().unwrap()).unwrap();
    let key = KeyPrefix::default().hashed_key(&id);
    assert!(site.store.load(&key).await.unwrap().is_some());
    // Whoever reads the store knows it.
    let thief = format!("session={}", key.as_str().strip_prefix("session:").unwrap());
    let outcome = site
        .request(&thief, |session| assert!(session.is_new()))
        .await;
    assert!(outcome.set_cookie.is_none());
}

#[test]
fn an_unsigned_id_does_not_tell_whose_it_is() {
    for flask_sessions in [FlaskSessions::Keep, FlaskSessions::Move] {
        let settings = Settings::unsigned().with_flask_sessions(flask_sessions);
        let refused = settings.check().unwrap_err();
        assert_eq!(refused.name(), "SESSION_USE_SIGNER");
    }
}

#[tokio::test]
async fn a_kept_session_of_flask_is_permanent_only_if_it_says_so() {
    let flask = Site::new(Settings::flask().with_keys(keys()).with_permanent(false));
    let (cookie, _) = of_flask(&flask).await;
    let site = flask.under(native(FlaskSessions::Keep));
    let outcome = site
        .request(&cookie, |session| {
            assert!(!session.is_permanent());
            session.insert("b", "y").unwrap();
        })
        .await;
    let header = outcome.set_cookie.unwrap();
    assert!(
        !header.contains("Expires") && !header.contains("Max-Age"),
        "{header}"
    );
}
