//! Settings from the environment: each is used as it was meant, or is an error at the start.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use session_core::{
    Finish, KeyPrefix, MemoryStore, RequestSession, ResponseHeaders, SecretKeys, Session,
    SessionId, SessionStore, Sessions, Settings, StoreKey,
    config::{Env, FlaskSessions, IdHeader},
};

const NEWEST: &str = "new-key-5647382910-zyxwvutsrqponml";
const OLDER: &str = "old-key-0123456789-abcdefghijklmnop";
const OLDEST: &str = "older-key-9876543210-qrstuvwxyzabcd";

fn sessions(settings: Settings, store: &Arc<MemoryStore>) -> Sessions {
    let builder = Sessions::builder(settings, store.clone());
    builder.without_owner_lists().build().unwrap()
}

async fn open(sessions: &Sessions, cookie: Option<&str>) -> (RequestSession, Session) {
    let request_session = sessions.begin_request();
    let mut headers = cookie.map(str::as_bytes).into_iter();
    let session = request_session.session(&mut headers).await.unwrap();
    (request_session, session)
}

async fn answer(request_session: &RequestSession) -> ResponseHeaders {
    match request_session.finish() {
        Finish::Ready(outcome) => outcome,
        Finish::Pending(saving) => saving.await.unwrap(),
    }
}

async fn logged_in(sessions: &Sessions) -> String {
    let (request_session, session) = open(sessions, None).await;
    session.log_in("ada").unwrap();
    let header = answer(&request_session)
        .await
        .set_cookie
        .expect("a cookie is set");
    header.split(';').next().unwrap().to_owned()
}

async fn owner(sessions: &Sessions, cookie: &str) -> Option<String> {
    let (_, session) = open(sessions, Some(cookie)).await;
    session.owner().map(|it| it.to_string())
}

fn native(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    Settings::from_env(&pairs.iter().copied().collect()).map_err(|error| error.to_string())
}

fn flask(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let env: Env = pairs.iter().copied().collect();
    Settings::flask()
        .overlaid(&env)
        .map_err(|error| error.to_string())
}

/// The cookie's value as whoever has `key` signs `id` for Flask.
fn signed_for_flask(id: &str, key: &[u8]) -> String {
    let mac = |key: &[u8], text: &[u8]| {
        let mut mac = <Hmac<sha1::Sha1> as KeyInit>::new_from_slice(key).unwrap();
        mac.update(text);
        mac.finalize().into_bytes()
    };
    let signature = mac(&mac(key, b"flask-session"), id.as_bytes());
    format!("session={id}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_comma_too_many_among_the_older_keys_is_refused() {
    for list in [
        "the-old-key-of-flask,",
        ",old",
        "a,,b",
        ",",
        " ",
        "old, \t",
        "\n",
    ] {
        let pairs = [
            ("SECRET_KEY", NEWEST),
            ("SESSION_USE_SIGNER", "true"),
            ("SECRET_KEY_FALLBACKS", list),
        ];
        for refused in [flask(&pairs), native(&pairs)] {
            let line = refused.expect_err(list);
            assert!(line.starts_with("SECRET_KEY_FALLBACKS must"), "{line}");
        }
    }
}

#[tokio::test]
async fn what_is_signed_with_nothing_opens_nothing() {
    let pairs = [
        ("SECRET_KEY", NEWEST),
        ("SESSION_USE_SIGNER", "true"),
        ("SECRET_KEY_FALLBACKS", "the-old-key-of-flask , older"),
    ];
    let sessions = sessions(flask(&pairs).unwrap(), &Arc::default());
    let (request_session, session) = open(&sessions, None).await;
    session.insert("_user_id", "ada").unwrap();
    let header = answer(&request_session).await.set_cookie.unwrap();
    let value = header.strip_prefix("session=").unwrap();
    let id = value.split('.').next().unwrap();
    for (key, opens) in [
        (&b""[..], false),
        (b" ", false),
        (b"the-old-key-of-flask ", false),
        (b" older", false),
        (b"the-old-key-of-flask", true),
        (b"older", true),
    ] {
        let cookie = signed_for_flask(id, key);
        let (_, session) = open(&sessions, Some(&cookie)).await;
        assert_eq!(session.contains("_user_id"), opens, "{key:?}");
    }
}

#[tokio::test]
async fn a_blank_in_the_list_of_older_keys_logs_nobody_out() {
    let store = Arc::default();
    let before = |key| sessions(Settings::new(SecretKeys::new(key).unwrap()), &store);
    let cookies = [
        logged_in(&before(OLDER)).await,
        logged_in(&before(OLDEST)).await,
    ];
    for list in [
        format!("{OLDER},{OLDEST}"),
        format!("{OLDER}, {OLDEST}"),
        format!(" {OLDER} ,\t{OLDEST}\n"),
    ] {
        let settings = native(&[("SECRET_KEY", NEWEST), ("SECRET_KEY_FALLBACKS", &list)]);
        let after = sessions(settings.unwrap(), &store);
        for cookie in &cookies {
            assert_eq!(
                owner(&after, cookie).await.as_deref(),
                Some("ada"),
                "{list:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_key_with_a_blank_at_its_end_logs_nobody_out_when_it_becomes_an_older_one() {
    let store = Arc::default();
    let padded = format!(" {OLDER} ");
    let before = sessions(native(&[("SECRET_KEY", &padded)]).unwrap(), &store);
    let cookie = logged_in(&before).await;
    let settings = native(&[("SECRET_KEY", NEWEST), ("SECRET_KEY_FALLBACKS", &padded)]);
    let after = sessions(settings.unwrap(), &store);
    assert_eq!(owner(&after, &cookie).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn older_keys_of_the_environment_join_the_keys_of_the_program() {
    let store = Arc::default();
    let program = |key| Settings::new(SecretKeys::new(key).unwrap());
    let cookie = logged_in(&sessions(program(OLDER), &store)).await;
    let env = Env::from_iter([("SECRET_KEY_FALLBACKS", OLDER)]);
    let after = sessions(program(NEWEST).overlaid(&env).unwrap(), &store);
    assert_eq!(owner(&after, &cookie).await.as_deref(), Some("ada"));
}

#[test]
fn an_empty_prefix_is_refused_where_nothing_is_shared_with_flask() {
    let signed = ("SECRET_KEY", NEWEST);
    let line = native(&[signed, ("SESSION_KEY_PREFIX", "")]).unwrap_err();
    assert!(line.starts_with("SESSION_KEY_PREFIX must"), "{line}");
    assert!(KeyPrefix::new("").is_err());
    let given = Settings::unsigned().with_key_prefix(KeyPrefix::of_flask("").unwrap());
    assert_eq!(given.check().unwrap_err().name(), "SESSION_KEY_PREFIX");
    // What is no prefix for anybody.
    for bad in ["a b", " ", "é", &"x".repeat(129)] {
        let pairs = [signed, ("SESSION_KEY_PREFIX", bad)];
        for line in [native(&pairs).unwrap_err(), flask(&pairs).unwrap_err()] {
            assert!(line.starts_with("SESSION_KEY_PREFIX must"), "{line}");
        }
        assert!(KeyPrefix::of_flask(bad).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn an_empty_prefix_is_flasks_where_its_sessions_are_shared() {
    let store = Arc::<MemoryStore>::default();
    let empty = ("SESSION_KEY_PREFIX", "");
    let here = sessions(flask(&[empty]).unwrap(), &store);
    let (request_session, session) = open(&here, None).await;
    session.insert("_user_id", "ada").unwrap();
    let header = answer(&request_session).await.set_cookie.unwrap();
    let cookie = header.split(';').next().unwrap();
    let id = cookie.strip_prefix("session=").unwrap();
    assert!(SessionId::from_flask(id).is_some());
    let found = store.load(&StoreKey::from_stored(id)).await.unwrap();
    assert!(found.is_some(), "Flask looks for it under the bare id");

    // And when Flask serves nothing any more.
    let pairs = [
        empty,
        ("SECRET_KEY", NEWEST),
        ("SESSION_COOKIE_NAME", "session"),
    ];
    let moving = Settings::unsigned()
        .with_flask_sessions(FlaskSessions::Move)
        .with_flask_keys(None)
        .overlaid(&pairs.into_iter().collect());
    let (_, session) = open(&sessions(moving.unwrap(), &store), Some(cookie)).await;
    assert_eq!(session.get::<String>("_user_id").unwrap().unwrap(), "ada");
}

#[test]
fn encryption_is_set_up_as_it_was_meant_or_is_an_error() {
    let set = |more: &[(&str, &str)]| native(&[&[("SECRET_KEY", NEWEST)], more].concat());
    let debug = |settings: &Settings| format!("{settings:?}");
    let both = [
        ("SESSION_ENCRYPTION_KEY", NEWEST),
        (
            "SESSION_ENCRYPTION_KEY_FALLBACKS",
            "old-key-0123456789-abcdefghijklmnop, older-key-9876543210-qrstuvwxyzabcd",
        ),
        ("SESSION_ENCRYPTION_ACCEPT_PLAIN", "true"),
    ];
    assert!(debug(&set(&both).unwrap()).contains("EncryptionKeys(3)"));
    assert!(debug(&set(&[]).unwrap()).contains("encryption: None"));
    for (wrong, message) in [
        (
            ("SESSION_ENCRYPTION_KEY", "short"),
            "SESSION_ENCRYPTION_KEY must be at least",
        ),
        (
            (
                "SESSION_ENCRYPTION_KEY",
                "with, a comma-0123456789-abcdefghij",
            ),
            "SESSION_ENCRYPTION_KEY must not contain a comma",
        ),
        (
            ("SESSION_ENCRYPTION_KEY_FALLBACKS", "short"),
            "SESSION_ENCRYPTION_KEY is needed",
        ),
        (
            ("SESSION_ENCRYPTION_ACCEPT_PLAIN", "true"),
            "SESSION_ENCRYPTION_KEY is needed",
        ),
    ] {
        let error = set(&[wrong]).unwrap_err();
        assert!(error.contains(message), "{wrong:?}: {error}");
    }
    let error = flask(&[("SESSION_ENCRYPTION_KEY", NEWEST)]).unwrap_err();
    assert!(error.contains("Flask could not read"), "{error}");
}

#[tokio::test]
async fn a_header_takes_the_place_of_the_cookie() {
    for (name, reads, answers) in [
        ("Authorization", "authorization", "session-id"),
        ("X-Session", "x-session", "x-session"),
    ] {
        let pairs = [("SECRET_KEY", NEWEST), ("SESSION_HEADER", name)];
        let settings = native(&pairs).unwrap();
        let header = settings.id_header().unwrap();
        assert_eq!((header.request(), header.response()), (reads, answers));
        let sessions = sessions(settings, &Arc::default());
        let value = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
        assert_eq!(owner(&sessions, &value).await.as_deref(), Some("ada"));
        let (request_session, session) = open(&sessions, Some(&value)).await;
        session.log_out();
        let headers = answer(&request_session).await;
        assert_eq!(
            (headers.set_cookie, headers.set_id),
            (None, Some(String::new()))
        );
    }
}

#[test]
fn a_header_that_cannot_take_the_cookies_place_is_refused() {
    for (pairs, reason) in [
        (&[("SESSION_HEADER", "")][..], ""),
        (&[("SESSION_HEADER", "Cookie")], "must be Authorization"),
        (&[("SESSION_HEADER", "set-cookie")], "must be Authorization"),
        (&[("SESSION_HEADER", "Host")], "must be Authorization"),
        (&[("SESSION_HEADER", "Origin")], "must be Authorization"),
        (
            &[("SESSION_HEADER", "Content-Encoding")],
            "must be Authorization",
        ),
        (
            &[("SESSION_HEADER", "Sec-Fetch-Site")],
            "must be Authorization",
        ),
        (&[("SESSION_HEADER", "X Session")], "must be the name"),
        (&[("SESSION_HEADER", "X-Session:")], "must be the name"),
        (
            &[
                ("SESSION_HEADER", "X-Session"),
                ("SESSION_COOKIE_NAME", "s"),
            ],
            "is in place of a cookie: leave SESSION_COOKIE_NAME unset",
        ),
    ] {
        let all = [&[("SECRET_KEY", NEWEST)][..], pairs].concat();
        match native(&all) {
            Ok(settings) => assert!(reason.is_empty() && settings.id_header().is_none()),
            Err(line) => {
                let expected = format!("SESSION_HEADER {reason}");
                assert!(line.starts_with(&expected), "{line}");
            }
        }
    }
    let line = flask(&[("SESSION_HEADER", "X-Session")]).unwrap_err();
    assert!(line.starts_with("SESSION_HEADER is not for"), "{line}");
    let answered = IdHeader::bearer().answering_in("Authorization");
    let settings = Settings::unsigned().with_id_header(answered);
    assert!(settings.check().is_err());
}

#[test]
fn settings_without_effect_are_refused_and_named() {
    for (pairs, message) in [
        (
            &[("SESSION_ROTATED_ID_ENDS_SESSION", "true")][..],
            "SESSION_ROTATED_ID_ENDS_SESSION has no effect without rotation: set SESSION_ROTATION_SECONDS",
        ),
        (
            &[("SESSION_ON_MAX_PER_USER", "refuse-login")],
            "SESSION_ON_MAX_PER_USER refuses no login without a limit: set SESSION_MAX_PER_USER",
        ),
        (
            &[
                ("SESSION_ASSURANCE", "AAL3"),
                ("SESSION_ROTATION_SECONDS", "43200"),
            ],
            "SESSION_ROTATION_SECONDS must be less than the absolute timeout, 43200 (seconds)",
        ),
    ] {
        let error = native(&[&[("SECRET_KEY", NEWEST)], pairs].concat()).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
    for pairs in [
        &[("SESSION_ROTATED_ID_ENDS_SESSION", "false")][..],
        &[("SESSION_ON_MAX_PER_USER", "end-oldest")],
        &[
            ("SESSION_ASSURANCE", "AAL3"),
            ("SESSION_ROTATION_SECONDS", "43199"),
        ],
    ] {
        native(&[&[("SECRET_KEY", NEWEST)], pairs].concat()).unwrap();
    }
}
