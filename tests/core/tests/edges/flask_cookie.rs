//! Sessions that start from the signed cookie of Flask's built-in session.

use std::time::{Duration, UNIX_EPOCH};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use session_core::{
    CookieAttributes, Dynamic, Error, Session, Settings, Timestamp,
    config::{FlaskCookie, OnMaxPerUser, OnStoreFailure},
};
use sha1::Sha1;

use crate::support::{Browser, Failure, Method, Site, When, signed};

pub(crate) const KEY: &str = "dev";
pub(crate) const LIFETIME: Duration = Settings::DEFAULT_IDLE_TIMEOUT;

pub(crate) fn flask() -> FlaskCookie {
    FlaskCookie::new(KEY).unwrap()
}

pub(crate) fn importing() -> Settings {
    signed().with_flask_cookie(flask())
}

/// A cookie as Flask writes it.
fn named(name: &str) -> CookieAttributes {
    CookieAttributes {
        name: name.into(),
        secure: false,
        same_site: None,
        ..CookieAttributes::default()
    }
}

pub(crate) fn seconds(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// The cookie's value as Flask signs it.
pub(crate) fn value(key: &str, text: &str, at: u64) -> String {
    let bytes = at.to_be_bytes();
    let bytes = &bytes[bytes.iter().take_while(|it| **it == 0).count()..];
    let signed = format!("{text}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let key = mac(key.as_bytes(), b"cookie-session");
    let signature = URL_SAFE_NO_PAD.encode(mac(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

impl Site {
    pub(crate) fn seconds(&self) -> u64 {
        let now = self.time.now().duration_since(UNIX_EPOCH);
        now.unwrap().as_secs()
    }

    /// A browser with a cookie that Flask signed `age` ago.
    pub(crate) fn browser_of_flask(&self, session: &str, age: Duration) -> Browser {
        let at = self.seconds() - age.as_secs();
        self.with_value(&value(KEY, &URL_SAFE_NO_PAD.encode(session), at))
    }

    pub(crate) fn with_value(&self, value: &str) -> Browser {
        let browser = self.browser();
        browser.set(&format!("session={value}; HttpOnly; Path=/"));
        browser
    }

    pub(crate) async fn cart(&self, browser: &Browser) -> Option<u32> {
        self.value(browser, "cart").await
    }
}

pub(crate) const ADA: &str = r#"{"_user_id":"ada","cart":7}"#;
pub(crate) const NOBODY: &str = r#"{"cart":7}"#;

pub(crate) fn log_out(session: &Session) {
    session.log_out();
}

pub(crate) fn nothing(_: &Session) {}

#[tokio::test]
async fn a_cookie_starts_a_session_with_its_values_and_its_user() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(60));
    let answer = site.request(&browser, nothing).await;
    assert!(answer.set_cookie.is_some());
    let sent = browser.header("/").unwrap();
    assert!(!sent.contains("session=ey"), "{sent}");
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    assert_eq!(site.cart(&browser).await, Some(7));
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
    site.store.calls();
    site.request(&browser, nothing).await;
    assert_eq!(site.store.calls(), [Method::Load]);
}

#[tokio::test]
async fn every_type_of_flasks_json_has_a_value() {
    let bytes = STANDARD.encode(b"\0\xff");
    let session = format!(
        r#"{{"_permanent":true,"nil":null,"yes":true,"int":-3,"most":18446744073709551615,
        "big":-123456789012345678901234567890,"float":1.5,"nan":NaN,"inf":[Infinity,-Infinity,"NaN \" Infinity"],
        "tuple":{{" t":[1,{{" t":[]}}]}},"bytes":{{" b":"{bytes}"}},"markup":{{" m":"<b>"}},
        "uuid":{{" u":"12345678123456781234567812345678"}},
        "date":{{" d":"Thu, 29 Feb 2024 12:34:56 GMT"}},"old":{{" d":"Mon, 01 Jan 0001 00:00:00 GMT"}},
        "own":{{" di":{{" t__":[2]}}}},"pair":{{" t":1,"b":2}},"other":{{" x":1}},"text":"é😀\u0000",
        "_flashes":[{{" t":["info","hello"]}}],"__session":1}}"#
    );
    let site = Site::new(importing());
    let browser = site.browser_of_flask(&session, seconds(1));
    let request = site.open(&browser).await;
    let value = |key: &str| request.value(key).map(|it| it.to_dynamic().unwrap());
    let text = |text: &str| Dynamic::Text(text.into());
    let int = Dynamic::Int;
    let map = |key: &str, value| Dynamic::Map(vec![(text(key), value)]);
    for (key, expected) in [
        ("_permanent", Dynamic::Bool(true)),
        ("nil", Dynamic::Nil),
        ("yes", Dynamic::Bool(true)),
        ("int", int(-3)),
        ("most", Dynamic::UInt(u64::MAX)),
        ("big", text("-123456789012345678901234567890")),
        ("float", Dynamic::Float(1.5)),
        (
            "inf",
            Dynamic::Array(vec![
                Dynamic::Float(f64::INFINITY),
                Dynamic::Float(f64::NEG_INFINITY),
                text("NaN \" Infinity"),
            ]),
        ),
        (
            "tuple",
            Dynamic::Array(vec![int(1), Dynamic::Array(vec![])]),
        ),
        ("bytes", Dynamic::Bytes(vec![0, 255])),
        ("markup", text("<b>")),
        ("uuid", text("12345678-1234-5678-1234-567812345678")),
        (
            "date",
            Dynamic::Timestamp("2024-02-29T12:34:56Z".parse().unwrap()),
        ),
        ("old", Dynamic::Timestamp(Timestamp::MIN)),
        ("own", map(" t", Dynamic::Array(vec![int(2)]))),
        (
            "pair",
            Dynamic::Map(vec![(text(" t"), int(1)), (text("b"), int(2))]),
        ),
        ("other", map(" x", int(1))),
        ("text", text("é😀\0")),
    ] {
        assert_eq!(value(key), Some(expected), "{key}");
    }
    assert!(matches!(value("nan"), Some(Dynamic::Float(it)) if it.is_nan()));
    assert_eq!(value("__session"), None);
    let flashes = request.take_flashes().unwrap();
    assert_eq!(flashes, [("info".to_owned(), "hello".to_owned())]);
}

#[tokio::test]
async fn requests_that_bring_a_users_cookie_at_once_have_one_session() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(60));
    let page = || async {
        let sent = browser.clone();
        let request = site.open(&sent).await;
        request
            .update("views", |views: Option<u32>| views.unwrap_or_default() + 1)
            .unwrap();
        tokio::task::yield_now().await;
        let answer = request.answer().await.unwrap();
        browser.receive(&answer);
    };
    futures_util::future::join_all((0..8).map(|_| page())).await;
    assert_eq!(site.value(&browser, "views").await, Some(8));
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_that_starts_the_session_while_another_does_goes_on_with_it() {
    // Wherever in the start the other request comes.
    for calls in 0..8 {
        let site = Site::new(importing());
        let (one, other) = (
            site.browser_of_flask(ADA, seconds(60)),
            site.browser_of_flask(ADA, seconds(60)),
        );
        let increment = |session: &Session| {
            let add = |n: Option<u32>| n.unwrap_or_default() + 1;
            session.update("n", add).unwrap();
        };
        site.store.hold_from(calls, When::Before);
        let mut held = std::pin::pin!(site.request(&one, increment));
        let pending = futures_util::FutureExt::now_or_never(&mut held).is_none();
        site.store.release();
        site.request(&other, increment).await;
        if pending {
            held.await;
        }
        assert_eq!(site.value(&one, "n").await, Some(2), "{calls}");
        let live = site.sessions.owner_sessions("ada").await.unwrap();
        assert_eq!(live.len(), 1, "{calls}");
    }
}

#[tokio::test]
async fn visitors_whose_cookies_are_equal_share_no_session() {
    let site = Site::new(importing());
    let one = site.browser_of_flask(NOBODY, seconds(60));
    let other = one.clone();
    site.request(&one, |session| session.insert("cart", &1).unwrap())
        .await;
    site.request(&other, nothing).await;
    assert_eq!(site.cart(&one).await, Some(1));
    assert_eq!(site.cart(&other).await, Some(7));
}

#[tokio::test]
async fn after_a_log_out_no_earlier_cookie_of_the_user_starts_a_session() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(60));
    let elsewhere = site.browser_of_flask(ADA, seconds(30));
    let copy = browser.clone();
    site.request(&browser, log_out).await;
    assert_eq!(browser.header("/"), None);
    for cookie in [&copy, &elsewhere, &site.browser_of_flask(ADA, seconds(0))] {
        assert_eq!(site.owner(cookie).await, None);
    }
    // Another process sees it, and so does the next release.
    let next = site.with_settings(importing());
    assert_eq!(next.owner(&copy).await, None);
    // Of another user, and of a later login in Flask.
    let bob = site.browser_of_flask(r#"{"_user_id":"bob"}"#, seconds(60));
    assert_eq!(site.owner(&bob).await.as_deref(), Some("bob"));
    for (later, owner) in [(3, None), (1, Some("ada"))] {
        site.time.advance(seconds(later));
        let cookie = site.browser_of_flask(ADA, seconds(0));
        assert_eq!(site.owner(&cookie).await.as_deref(), owner);
    }
}

#[tokio::test]
async fn after_a_log_out_a_visitors_cookie_starts_no_session() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(NOBODY, seconds(60));
    let copy = browser.clone();
    site.request(&browser, nothing).await;
    assert_eq!(site.cart(&copy.clone()).await, Some(7));
    site.request(&browser, |session| session.log_in("ada").unwrap())
        .await;
    site.request(&browser, log_out).await;
    assert_eq!(site.cart(&copy).await, None);
    let other = site.browser_of_flask(NOBODY, seconds(61));
    assert_eq!(site.cart(&other).await, Some(7));
}

#[tokio::test]
async fn a_log_out_of_many_sessions_counts_for_cookies_that_have_started_none() {
    let everywhere = async |site: &Site, _: &Browser| {
        site.sessions.log_out_everywhere("ada").await.unwrap();
    };
    let by_session = async |site: &Site, browser: &Browser| {
        let request = site.open(browser).await;
        assert_eq!(request.log_out_everywhere(true).await.unwrap(), 0);
        request.answer().await.unwrap();
        assert_eq!(site.owner(browser).await.as_deref(), Some("ada"));
    };
    let from_a_list = async |site: &Site, _: &Browser| {
        let listed = site.sessions.owner_sessions("ada").await.unwrap();
        let ended = site.sessions.end_owner_session("ada", listed[0].lineage());
        assert!(ended.await.unwrap());
    };
    let by_provider = async |site: &Site, _: &Browser| {
        assert_eq!(site.sessions.end_provider_session("sid").await.unwrap(), 1);
    };
    let site = Site::new(importing());
    let copy = site.browser_of_flask(ADA, seconds(60));
    everywhere(&site, &copy).await;
    assert_eq!(site.owner(&copy).await, None, "a user without a session");
    for way in 0..3 {
        let site = Site::new(importing());
        let copy = site.browser_of_flask(ADA, seconds(60));
        let browser = site.browser();
        site.request(&browser, |session| {
            session.log_in_from_provider("ada", "sid").unwrap();
        })
        .await;
        match way {
            0 => by_session(&site, &browser).await,
            1 => from_a_list(&site, &browser).await,
            _ => by_provider(&site, &browser).await,
        }
        assert_eq!(site.owner(&copy).await, None, "{way}");
    }
}

#[tokio::test]
async fn a_log_out_is_noted_for_as_long_as_flask_accepts_a_cookie() {
    let lifetime = LIFETIME.as_secs();
    let settings = importing().with_idle_timeout(seconds(600));
    let site = Site::new(settings);
    let fresh = site.browser_of_flask(ADA, seconds(0));
    site.sessions.log_out_everywhere("ada").await.unwrap();
    let note = site.store.last_key();
    for step in [0, lifetime / 2, lifetime / 2, 1, 1, 1] {
        site.time.advance(seconds(step));
        site.store.sweep().await;
        assert_eq!(site.owner(&fresh).await, None, "{step}");
        assert!(site.store.holds(&note).await);
    }
    site.time.advance(seconds(10));
    site.store.sweep().await;
    assert!(!site.store.holds(&note).await);
}

#[tokio::test]
async fn a_session_that_ended_by_time_does_not_start_again() {
    let site = Site::new(importing().with_idle_timeout(seconds(600)));
    let browser = site.browser_of_flask(ADA, seconds(60));
    let copy = browser.clone();
    site.request(&browser, nothing).await;
    site.time.advance(seconds(601));
    assert_eq!(site.owner(&copy).await, None);
    site.time.advance(seconds(3600));
    site.store.sweep().await;
    assert_eq!(site.owner(&copy).await, None);
}

#[tokio::test]
async fn a_log_out_that_cannot_be_noted_is_an_error() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(60));
    let copy = browser.clone();
    site.request(&browser, nothing).await;
    for failure in [Failure::Before, Failure::After] {
        let request = site.open(&browser).await;
        request.log_out();
        site.store.fail(Method::Insert, failure);
        assert!(request.answer().await.is_err());
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    }
    site.request(&browser, log_out).await;
    assert_eq!(site.owner(&browser).await, None);
    assert_eq!(site.owner(&copy).await, None);
}

#[tokio::test]
async fn a_start_that_is_cut_short_is_done_by_the_next_request() {
    for (method, failure) in [
        (Method::Insert, Failure::Before),
        (Method::Insert, Failure::After),
        (Method::Load, Failure::Before),
    ] {
        for call in 0..4 {
            let site = Site::new(importing());
            let browser = site.browser_of_flask(ADA, seconds(60));
            let copy = browser.clone();
            for _ in 0..call {
                site.store.fail(method, Failure::Nothing);
            }
            site.store.fail(method, failure);
            let first = site.try_open(&browser).await;
            let failed = first.is_err();
            drop(first);
            site.store.forget_failures();
            assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
            site.request(&browser, log_out).await;
            assert_eq!(site.owner(&copy).await, None, "{method:?} {call}");
            assert!(failed || call > 0);
        }
    }
}

#[tokio::test]
async fn without_the_store_it_is_not_known_who_the_visitor_is() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.store.go_down(&Method::ALL);
    assert!(site.try_open(&browser).await.is_err());
    let settings = importing().with_on_store_failure(OnStoreFailure::Anonymous);
    let lenient = site.with_settings(settings);
    let request = lenient.open(&browser).await;
    assert_eq!(request.owner(), None);
    assert!(matches!(request.log_in("bob"), Err(Error::NotLoaded)));
    lenient.store.come_up();
    assert_eq!(lenient.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_log_out_everywhere_beside_a_start_ends_it() {
    // Wherever in the start the log-out comes.
    for calls in 0..8 {
        let site = Site::new(importing());
        let browser = site.browser_of_flask(ADA, seconds(60));
        site.store.hold_from(calls, When::Before);
        let start = async { site.try_open(&browser).await.map(drop) };
        let log_out = async {
            tokio::task::yield_now().await;
            let other = site.with_settings(importing());
            site.store.release();
            other.sessions.log_out_everywhere("ada").await.unwrap();
        };
        let (started, ()) = tokio::join!(start, log_out);
        started.unwrap();
        assert_eq!(site.owner(&browser).await, None, "{calls}");
        let live = site.sessions.owner_sessions("ada").await.unwrap();
        assert!(live.is_empty(), "{calls}");
    }
}

#[tokio::test]
async fn the_cookie_is_removed_or_kept_until_the_log_out() {
    let removal = "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/";
    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(60));
    let answer = site.request(&browser, nothing).await;
    assert_eq!(answer.remove_flask_cookie.as_deref(), Some(removal));
    let answer = site.request(&browser, nothing).await;
    assert_eq!(answer.remove_flask_cookie, None);

    let kept = flask().with_cookie(CookieAttributes {
        domain: Some("example.org".into()),
        path: "/shop".into(),
        ..named("session")
    });
    let kept = kept.kept();
    let site = Site::new(signed().with_flask_cookie(kept));
    let browser = site.browser_of_flask(ADA, seconds(60));
    for _ in 0..2 {
        let answer = site.request(&browser, nothing).await;
        assert_eq!(answer.remove_flask_cookie, None);
        assert!(browser.header("/").unwrap().contains("session=ey"));
    }
    let answer = site.request(&browser, log_out).await;
    let removal = "session=; Domain=example.org; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/shop";
    assert_eq!(answer.remove_flask_cookie.as_deref(), Some(removal));
}

#[tokio::test]
async fn a_session_of_its_own_comes_first() {
    let site = Site::new(importing());
    let browser = site.logged_in("bob").await;
    browser.add(&site.browser_of_flask(ADA, seconds(60)));
    site.store.calls();
    assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
    assert_eq!(site.store.calls(), [Method::Load]);
    // An ended one does not.
    site.sessions.log_out_everywhere("bob").await.unwrap();
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_started_session_is_no_fresh_login() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(0));
    let request = site.open(&browser).await;
    assert_eq!(request.authenticated_at(), None);
    let refused = request.require_login_within(seconds(3600));
    assert!(matches!(refused, Err(Error::LoginNeeded)));
    request.reauthenticate().unwrap();
    request.require_login_within(seconds(3600)).unwrap();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_start_counts_to_the_sessions_of_its_user() {
    let site = Site::new(importing().with_max_per_user(1));
    let first = site.logged_in("ada").await;
    site.time.advance(seconds(1));
    let second = site.browser_of_flask(ADA, seconds(60));
    assert_eq!(site.owner(&second).await.as_deref(), Some("ada"));
    site.request(&second, nothing).await;
    assert_eq!(site.owner(&first).await, None);
    // An end by the limit is no log-out.
    site.time.advance(seconds(1));
    let third = site.browser_of_flask(ADA, seconds(61));
    assert_eq!(site.owner(&third).await.as_deref(), Some("ada"));

    let settings = importing()
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin);
    let site = Site::new(settings);
    let first = site.logged_in("ada").await;
    let second = site.browser_of_flask(ADA, seconds(60));
    assert_eq!(site.owner(&second).await, None);
    assert_eq!(site.owner(&first).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn what_flask_would_not_accept_starts_nothing() {
    let site = Site::new(importing());
    let now = site.seconds();
    let text = URL_SAFE_NO_PAD.encode(ADA);
    let good = value(KEY, &text, now);
    assert_eq!(
        site.owner(&site.with_value(&good)).await.as_deref(),
        Some("ada")
    );
    let mut bad: Vec<String> = (0..good.len())
        .map(|place| {
            let mut bytes = good.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        })
        .filter(|it| *it != good)
        .collect();
    let oldest = now - LIFETIME.as_secs();
    let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; 2 << 20], 9);
    bad.extend([
        value("another key", &text, now),
        value(KEY, &text, oldest - 1),
        value(KEY, &text, now + 4),
        value(KEY, &text, u64::MAX),
        value(KEY, &format!(".{text}"), now),
        value(KEY, &format!(".{}", URL_SAFE_NO_PAD.encode(bomb)), now),
        value(KEY, &URL_SAFE_NO_PAD.encode("[1]"), now),
        value(KEY, &URL_SAFE_NO_PAD.encode(r#"{"a":{" b":"?"}}"#), now),
        value(KEY, &URL_SAFE_NO_PAD.encode(r#"{"a":{" u":"12"}}"#), now),
        value(KEY, "", now),
        format!("{good}="),
        good[..good.len() - 1].to_owned(),
        good.replace('.', ""),
        "a".repeat(20_000),
        String::new(),
    ]);
    site.store.calls();
    for bad in &bad {
        let browser = site.with_value(bad);
        let request = site.open(&browser).await;
        assert!(request.is_new() && request.keys().is_empty(), "{bad}");
        let answer = request.answer().await.unwrap();
        assert_eq!(answer.remove_flask_cookie, None, "{bad}");
    }
    assert_eq!(site.store.calls(), []);
    for accepted in [oldest, now + 3] {
        let browser = site.with_value(&value(KEY, &text, accepted));
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn older_keys_names_and_user_keys_are_as_the_flask_application_has_them() {
    let flask = FlaskCookie::new("newer").unwrap().with_fallback("older");
    let flask = flask
        .unwrap()
        .with_cookie(named("flask"))
        .with_user_key("uid");
    let site = Site::new(signed().with_flask_cookie(flask));
    for (session, owner) in [
        (r#"{"uid":"ada"}"#, Some("ada")),
        (r#"{"uid":41}"#, Some("41")),
        (r#"{"uid":""}"#, None),
        (r#"{"uid":true}"#, None),
        (r#"{"_user_id":"ada","a":1}"#, None),
    ] {
        for key in ["newer", "older"] {
            let text = URL_SAFE_NO_PAD.encode(session);
            let browser = site.browser();
            browser.set(&format!("flask={}", value(key, &text, site.seconds())));
            assert_eq!(site.owner(&browser).await.as_deref(), owner, "{session}");
        }
    }
    // A name that is too long is nobody's.
    let long = json!({ "uid": "a".repeat(600) }).to_string();
    let browser = site.browser();
    let text = URL_SAFE_NO_PAD.encode(long);
    browser.set(&format!("flask={}", value("newer", &text, site.seconds())));
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn of_two_processes_whose_clocks_differ_both_see_the_log_out() {
    let site = Site::new(importing());
    let behind = site.fast(importing(), seconds(2));
    // Flask's clock is as fast as the other process's.
    let cookie = behind.browser_of_flask(ADA, seconds(0));
    site.sessions.log_out_everywhere("ada").await.unwrap();
    assert_eq!(site.owner(&cookie).await, None);
    assert_eq!(behind.owner(&cookie).await, None);
}

#[test]
fn settings_that_contradict_it_are_refused() {
    let error = |settings: Settings| settings.check().unwrap_err().to_string();
    let named = |name| flask().with_cookie(named(name));
    let own = &signed().cookie().name.clone();
    assert!(error(signed().with_flask_cookie(named(own))).contains("another name"));
    assert!(error(signed().with_flask_cookie(named("a b"))).contains("SESSION_COOKIE_NAME"));
    let short = flask().with_lifetime(seconds(0));
    assert!(error(signed().with_flask_cookie(short)).contains("lifetime"));
    let shared = Settings::flask().with_flask_cookie(named("other"));
    assert!(error(shared).contains("native"));
    assert!(FlaskCookie::new(" ").is_err());
    assert!(flask().with_fallback("").is_err());
}
