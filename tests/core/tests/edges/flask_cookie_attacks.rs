//! Attacks on the start of sessions from Flask's built-in session.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use session_core::{
    MemoryStore, Moving, Session, SessionStore, Sessions, Settings,
    config::{Env, IdHeader, OnMaxPerUser, OnStoreFailure},
};

use crate::{
    flask_cookie::{ADA, KEY, NOBODY, flask, importing, log_out, nothing, seconds, value},
    support::{Browser, Failure, Method, Site, When, signed},
};

fn kept() -> Settings {
    signed().with_flask_cookie(flask().kept())
}

fn has_flask(browser: &Browser) -> bool {
    browser
        .header("/")
        .is_some_and(|it| it.split("; ").any(|it| it.starts_with("session=")))
}

/// A log-out removes Flask's cookie, or Flask goes on with the login; a handler that says "bye"
/// with a flash message logs out just the same.
#[tokio::test]
async fn log_out_with_a_flash_message_removes_flasks_cookie() {
    let site = Site::new(kept());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    site.request(&browser, |session| {
        session.log_out();
        session.flash("info", "you are logged out").unwrap();
    })
    .await;
    assert_eq!(site.owner(&browser).await, None);
    assert!(!has_flask(&browser), "{:?}", browser.header("/"));
}

#[tokio::test]
async fn log_out_in_the_first_request_removes_a_kept_cookie() {
    let site = Site::new(kept());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, log_out).await;
    assert!(!has_flask(&browser), "{:?}", browser.header("/"));
}

#[tokio::test]
async fn log_out_everywhere_removes_a_kept_cookie() {
    let site = Site::new(kept());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    let request = site.open(&browser).await;
    request.log_out_everywhere(false).await.unwrap();
    request.answer().await.unwrap();
    assert!(!has_flask(&browser), "{:?}", browser.header("/"));
}

/// The session here is over by time, but Flask's cookie is still good there: who clicks on "log
/// out" here must not stay logged in at Flask.
#[tokio::test]
async fn log_out_after_the_session_expired_removes_a_kept_cookie() {
    let site = Site::new(kept().with_idle_timeout(seconds(600)));
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    site.time.advance(seconds(700));
    site.request(&browser, log_out).await;
    assert!(!has_flask(&browser), "{:?}", browser.header("/"));
}

/// The same, where the session ended from another device.
#[tokio::test]
async fn log_out_after_the_session_ended_elsewhere_removes_a_kept_cookie() {
    let site = Site::new(kept());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    site.sessions.log_out_everywhere("ada").await.unwrap();
    site.request(&browser, log_out).await;
    assert!(!has_flask(&browser), "{:?}", browser.header("/"));
}

/// "The response that starts a session removes it": one that starts none, because the user is at
/// the limit, must leave it, or the user is thrown out of Flask and loses the values.
#[tokio::test]
async fn a_refused_login_leaves_flasks_cookie() {
    let settings = importing()
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin);
    let site = Site::new(settings);
    site.logged_in("ada").await;
    let second = site.browser_of_flask(ADA, seconds(60));
    site.request(&second, nothing).await;
    assert_eq!(site.owner(&second).await, None);
    assert!(has_flask(&second), "{:?}", second.header("/"));
}

/// A cart that is too large for a session must not be thrown away with the cookie.
#[tokio::test]
async fn a_session_that_is_too_large_leaves_flasks_cookie() {
    let site = Site::new(importing().with_max_bytes(1024));
    let long = format!(r#"{{"_user_id":"ada","cart":"{}"}}"#, "a".repeat(2000));
    let browser = site.browser_of_flask(&long, seconds(60));
    let opened = site.try_open(&browser).await;
    if let Ok(request) = opened {
        request.answer().await.unwrap();
    }
    assert!(has_flask(&browser), "{:?}", browser.header("/"));
}

#[tokio::test]
async fn too_many_keys_leave_flasks_cookie() {
    let site = Site::new(importing().with_max_keys(2));
    let browser = site.browser_of_flask(r#"{"_user_id":"ada","a":1,"b":2}"#, seconds(60));
    let opened = site.try_open(&browser).await;
    if let Ok(request) = opened {
        request.answer().await.unwrap();
    }
    assert!(has_flask(&browser), "{:?}", browser.header("/"));
}

/// A store that says it has no room is no reason to forget the user either.
#[tokio::test]
async fn a_store_that_finds_it_too_large_leaves_flasks_cookie() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.store.fail(Method::Insert, Failure::TooLarge);
    if let Ok(request) = site.try_open(&browser).await {
        request.answer().await.unwrap();
    }
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

/// Whoever logs in to Flask again a second after a log-out here stays logged in there.
#[tokio::test]
async fn a_cookie_signed_right_after_a_log_out_is_not_removed() {
    let site = Site::new(importing());
    let browser = site.logged_in("ada").await;
    site.request(&browser, log_out).await;
    site.time.advance(seconds(2));
    let again = site.browser_of_flask(ADA, seconds(0));
    site.request(&again, nothing).await;
    assert!(has_flask(&again), "{:?}", again.header("/"));
}

/// The user came with a login; if the store fails in the save, the next request must know the user.
#[tokio::test]
async fn a_save_that_fails_after_the_start_loses_no_login() {
    for method in [Method::Update, Method::Load, Method::Insert] {
        for failure in [Failure::Before, Failure::After] {
            for session in [ADA, NOBODY] {
                let site = Site::new(importing());
                let browser = site.browser_of_flask(session, seconds(60));
                let request = site.open(&browser).await;
                request.insert("x", &1).unwrap();
                site.store.fail(method, failure);
                let _maybe = request.answer().await;
                site.store.forget_failures();
                assert_eq!(
                    site.cart(&browser).await,
                    Some(7),
                    "{method:?} {failure:?} {session}"
                );
            }
        }
    }
}

/// As above, with a login or a renewal in the first request.
#[tokio::test]
async fn a_renewal_that_fails_after_the_start_loses_no_login() {
    for method in Method::WRITES {
        for failure in [Failure::Before, Failure::After] {
            for keeps in [true, false] {
                let site = Site::new(if keeps { kept() } else { importing() });
                let browser = site.browser_of_flask(ADA, seconds(60));
                let request = site.open(&browser).await;
                request.renew();
                site.store.fail(method, failure);
                let _maybe = request.answer().await;
                site.store.forget_failures();
                assert_eq!(
                    site.owner(&browser).await.as_deref(),
                    Some("ada"),
                    "{method:?} {failure:?} {keeps}"
                );
            }
        }
    }
}

/// The handler fails, or panics: the head of the error has both cookies or none.
#[tokio::test]
async fn an_error_after_the_start_loses_no_login() {
    for session in [ADA, NOBODY] {
        let site = Site::new(importing());
        let browser = site.browser_of_flask(session, seconds(60));
        let request = site.open(&browser).await;
        browser.receive(&request.inner.failed());
        assert_eq!(site.cart(&browser).await, Some(7), "{session}");
    }
}

/// Limits of a user's sessions count a login that was refused only while there is no room.
#[tokio::test]
async fn a_refused_start_is_tried_again_when_there_is_room() {
    let settings = kept()
        .with_idle_timeout(seconds(600))
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin);
    let site = Site::new(settings);
    let _first = site.logged_in("ada").await;
    let second = site.browser_of_flask(ADA, seconds(60));
    site.request(&second, nothing).await;
    assert_eq!(site.owner(&second).await, None);
    site.time.advance(seconds(601));
    site.request(&second, nothing).await;
    assert_eq!(site.owner(&second).await.as_deref(), Some("ada"));
}

/// Two requests find what is left of a start that failed: neither removes the other's session.
#[tokio::test]
async fn requests_that_begin_a_failed_start_anew_have_one_session() {
    for calls in 0..12 {
        let site = Site::new(kept().with_max_per_user(1));
        let _first = site.logged_in("ada").await;
        site.time.advance(seconds(1));
        let one = site.browser_of_flask(ADA, seconds(60));
        let other = one.clone();
        // The end of the oldest session fails, so the login is withdrawn.
        site.store.fail(Method::Update, Failure::Before);
        assert!(site.try_open(&one).await.is_err());
        site.store.hold_from(calls, When::After);
        let mut held = std::pin::pin!(site.request(&one, nothing));
        let pending = futures_util::FutureExt::now_or_never(&mut held).is_none();
        site.store.release();
        site.request(&other, |session| session.insert("cart", &8).unwrap())
            .await;
        if pending {
            held.await;
        }
        for browser in [&one, &other] {
            assert_eq!(site.owner(browser).await.as_deref(), Some("ada"), "{calls}");
            assert_eq!(site.cart(browser).await, Some(8), "{calls}");
        }
    }
}

/// "If that is refused, the request goes on without a user": no handler sees one.
#[tokio::test]
async fn a_refused_start_shows_no_user() {
    let settings = importing()
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin);
    let site = Site::new(settings);
    let _first = site.logged_in("ada").await;
    let second = site.browser_of_flask(ADA, seconds(60));
    let request = site.open(&second).await;
    assert_eq!(request.owner(), None);
    assert_eq!(request.get::<String>("_user_id").unwrap(), None);
}

/// Requests with one cookie at once, at the limit: all or none have the session.
#[tokio::test]
async fn requests_at_once_at_the_limit_agree() {
    let mut wrong = Vec::new();
    for refuses in [false, true] {
        for calls in 0..14 {
            for when in [When::Before, When::After] {
                let mut settings = kept().with_max_per_user(1);
                if refuses {
                    settings = settings.with_on_max_per_user(OnMaxPerUser::RefuseLogin);
                }
                let site = Site::new(settings);
                let first = site.logged_in("ada").await;
                site.time.advance(seconds(1));
                let one = site.browser_of_flask(ADA, seconds(60));
                let other = one.clone();
                site.store.hold_from(calls, when);
                let mut held = std::pin::pin!(site.request(&one, nothing));
                let pending = futures_util::FutureExt::now_or_never(&mut held).is_none();
                site.store.release();
                site.request(&other, nothing).await;
                if pending {
                    held.await;
                }
                let what = format!("{refuses} {calls} {when:?}");
                let live = site.sessions.owner_sessions("ada").await.unwrap().len();
                if live != 1 {
                    let owners = [
                        site.owner(&first).await,
                        site.owner(&one).await,
                        site.owner(&other).await,
                    ];
                    wrong.push(format!(
                        "{what}: {live} live, first, one, other: {owners:?}"
                    ));
                    continue;
                }
                let expected = (!refuses).then_some("ada");
                assert_eq!(site.owner(&one).await.as_deref(), expected, "one {what}");
                assert_eq!(
                    site.owner(&other).await.as_deref(),
                    expected,
                    "other {what}"
                );
                let first_owner = site.owner(&first).await;
                assert_eq!(first_owner.is_some(), refuses, "first {what}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The limit ends the session whose login is longest ago; two devices that come from Flask one
/// after the other: the later one is in.
#[tokio::test]
async fn the_later_of_two_starts_is_in() {
    let site = Site::new(kept().with_max_per_user(2));
    let one = site.browser_of_flask(ADA, seconds(60));
    site.request(&one, nothing).await;
    site.time.advance(seconds(10));
    let two = site.logged_in("ada").await;
    site.time.advance(seconds(10));
    let three = site.browser_of_flask(ADA, seconds(60));
    site.request(&three, nothing).await;
    let mut owners = Vec::new();
    for it in [&one, &two, &three] {
        owners.push(site.owner(it).await.is_some());
    }
    assert_eq!(owners, [false, true, true]);
}

/// An application that serves browsers and programs from one store has two `Sessions`, because a
/// header and Flask's cookie are refused together. A user who logs out everywhere in the phone's
/// application has logged out here, so no earlier cookie of Flask's starts a session.
#[tokio::test]
async fn a_log_out_by_the_header_sessions_counts_for_flasks_cookies() {
    let site = Site::new(importing());
    let programs = site.with_settings(importing().with_id_header(IdHeader::bearer()));
    programs.sessions.log_out_everywhere("ada").await.unwrap();
    let copy = site.browser_of_flask(ADA, seconds(60));
    assert_eq!(site.owner(&copy).await, None);
}

/// Another cookie of the same application on the same store, such as an administrator's session.
#[tokio::test]
async fn two_sessions_with_one_flask_cookie_stay_two() {
    let site = Site::new(kept());
    let mut settings = kept();
    settings = settings.with_cookie(session_core::CookieAttributes {
        name: "__Host-admin".into(),
        ..session_core::CookieAttributes::default()
    });
    let admin = site.with_settings(settings);
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    admin
        .request(&browser, |session| session.insert("role", "admin").unwrap())
        .await;
    assert_eq!(
        admin.value::<String>(&browser, "role").await.as_deref(),
        Some("admin")
    );
    assert_eq!(site.value::<String>(&browser, "role").await, None);
}

/// The cookies of two visitors may be equal, so nothing says that one has started a session. After
/// its end by time another one begins, with what the cookie holds.
#[tokio::test]
async fn a_visitors_cookie_starts_a_session_again_until_one_is_logged_out() {
    let site = Site::new(kept().with_idle_timeout(seconds(600)));
    let browser = site.browser_of_flask(NOBODY, seconds(60));
    site.request(&browser, |session| session.insert("cart", &0).unwrap())
        .await;
    site.time.advance(seconds(700));
    assert_eq!(site.cart(&browser).await, Some(7));
    site.request(&browser, log_out).await;
    assert_eq!(
        site.cart(&site.browser_of_flask(NOBODY, seconds(760)))
            .await,
        None
    );
}

/// A damaged record is as none: the site must not be closed to a visitor who has Flask's cookie.
#[tokio::test]
async fn a_damaged_record_does_not_close_the_site() {
    let site = Site::new(kept());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    // The record is the first that was inserted; then came the note.
    let request = site.open(&browser).await;
    request.insert("x", &1).unwrap();
    request.answer().await.unwrap();
    let native = site.visited().await;
    let key = site.store.last_key();
    site.store.tamper(&key, |bytes| bytes.truncate(10)).await;
    // How it is without Flask's cookie.
    assert!(site.try_open(&native).await.is_ok(), "native");
}

/// The encryption key was lost, or changed without a fallback: visitors begin anew.
#[tokio::test]
async fn an_unreadable_record_does_not_close_the_site() {
    let old = Env::from_iter([(
        "SESSION_ENCRYPTION_KEY",
        "Zk3qVr0xN8uTz5wLh2cJm7bGf9dSa1ePZk3qVr0xN8u",
    )]);
    let new = Env::from_iter([(
        "SESSION_ENCRYPTION_KEY",
        "Xk3qVr0xN8uTz5wLh2cJm7bGf9dSa1ePXk3qVr0xN8u",
    )]);
    let site = Site::new(kept().overlaid(&old).unwrap());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    let native = site.visited().await;
    let next = site.with_settings(kept().overlaid(&new).unwrap());
    let without = next.try_open(&native).await.map(drop);
    let with = next.try_open(&browser).await.map(drop);
    assert_eq!(without.is_ok(), with.is_ok(), "{without:?} {with:?}");
}

/// A log-out of a renewed, rotated or taken-over session ends the cookie, too.
#[tokio::test]
async fn a_visitors_cookie_is_ended_whatever_became_of_the_session() {
    for way in 0..6 {
        let site = Site::new(kept().with_rotation(seconds(600)));
        let browser = site.browser_of_flask(NOBODY, seconds(60));
        let copy = browser.clone();
        match way {
            0 => drop(site.request(&browser, Session::renew).await),
            1 => {
                site.request(&browser, nothing).await;
                site.time.advance(seconds(700));
                site.request(&browser, |session| session.insert("a", &1).unwrap())
                    .await;
                site.time.advance(seconds(1));
            }
            2 => drop(site.request(&browser, Session::clear).await),
            3 => {
                let request = site.open(&browser).await;
                request.insert("a", &1).unwrap();
                let _saved = request.save().await.unwrap();
                request.answer().await.unwrap();
            }
            4 => drop(
                site.request(&browser, |session| session.log_in("bob").unwrap())
                    .await,
            ),
            _ => drop(site.request(&browser, nothing).await),
        }
        let request = site.open(&browser).await;
        request.log_out();
        if way == 5 {
            let _saved = request.save().await.unwrap();
            request.insert("b", &1).unwrap();
        }
        request.answer().await.unwrap();
        assert_eq!(site.cart(&copy).await, None, "{way}");
        assert!(way == 5 || !has_flask(&browser), "{way}");
    }
}

/// A user's session, rotated; the late request, with the old id, logs out.
#[tokio::test]
async fn a_log_out_with_the_old_id_is_noted() {
    let site = Site::new(kept().with_rotation(seconds(600)));
    let browser = site.browser_of_flask(ADA, seconds(60));
    let copy = browser.clone();
    site.request(&browser, nothing).await;
    site.time.advance(seconds(700));
    let late = browser.clone();
    site.request(&browser, |session| session.insert("a", &1).unwrap())
        .await;
    site.request(&late, log_out).await;
    assert_eq!(site.owner(&browser).await, None);
    assert_eq!(site.owner(&copy).await, None);
    let other = site.browser_of_flask(ADA, seconds(500));
    assert_eq!(site.owner(&other).await, None);
}

/// Who had Flask's cookie only, and comes back after the id was rotated or renewed.
#[tokio::test]
async fn after_a_renewal_the_cookie_is_no_way_in() {
    let site = Site::new(kept());
    let browser = site.browser_of_flask(ADA, seconds(60));
    let copy = browser.clone();
    site.request(&browser, nothing).await;
    site.request(&browser, |session| session.reauthenticate().unwrap())
        .await;
    site.time.advance(seconds(60));
    let request = site.open(&copy).await;
    assert!(request.require_login_within(seconds(3600)).is_err());
    drop(request);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

/// The same within the seconds after the reauthentication.
#[tokio::test]
async fn right_after_a_reauthentication_the_cookie_is_no_way_in() {
    let site = Site::new(kept().with_rotation(seconds(600)));
    let browser = site.browser_of_flask(ADA, seconds(60));
    let copy = browser.clone();
    site.request(&browser, nothing).await;
    site.request(&browser, |session| session.reauthenticate().unwrap())
        .await;
    let request = site.open(&copy).await;
    assert!(request.require_login_within(seconds(3600)).is_err());
}

/// With "an old id ends the session", the browser whose own cookie ended with it, and which keeps
/// Flask's, is no thief.
#[tokio::test]
async fn flasks_cookie_after_a_rotation_is_no_theft() {
    let settings = kept()
        .with_permanent(false)
        .with_rotation(seconds(600))
        .with_rotated_id_ending_session(true);
    let site = Site::new(settings);
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    site.time.advance(seconds(700));
    site.request(&browser, |session| session.insert("a", &1).unwrap())
        .await;
    site.request(&browser, nothing).await;
    site.time.advance(seconds(60));
    let other_window = browser.clone();
    other_window.forget("__Host-session");
    let _opened = site.try_open(&other_window).await;
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

/// Flask's session without `_permanent` ends with the browser, and so does the one here.
#[tokio::test]
async fn a_session_that_ends_with_the_browser_still_does() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(ADA, seconds(60));
    let answer = site.request(&browser, nothing).await;
    let set_cookie = answer.set_cookie.clone().unwrap();
    assert!(!set_cookie.contains("Max-Age"), "{set_cookie}");
}

/// What Flask takes for true or false.
#[tokio::test]
async fn odd_values_under_flasks_keys_do_no_harm() {
    for session in [
        r#"{"_user_id":"ada","_permanent":1}"#,
        r#"{"_user_id":"ada","_permanent":null}"#,
        r#"{"_user_id":"ada","_permanent":"yes"}"#,
        r#"{"_user_id":"ada","_flashes":"x"}"#,
        r#"{"_user_id":"ada","_flashes":[]}"#,
        r#"{"_user_id":"ada","_flashes":[["a","b"]]}"#,
        r#"{"_user_id":"ada","":1,"\u0000":{"a":{" t":[{" di":{" t__":null}}]}}}"#,
        r#"{"_user_id":"ada","_user_id":"bob"}"#,
        "{\"_user_id\":\"ada\",\"a\":1} ",
        r#"{"_user_id":{" u":"12345678123456781234567812345678"}}"#,
        r#"{"_user_id":1180591620717411303424}"#,
        r#"{"_user_id":"ada","a":"\ud83d\ude00"}"#,
    ] {
        let site = Site::new(importing());
        let browser = site.browser_of_flask(session, seconds(60));
        let request = site.open(&browser).await;
        request.is_permanent();
        assert!(request.owner().is_some(), "{session}");
        request
            .flash("a", "b")
            .or_else(|error| {
                if session.contains("\"x\"") {
                    Ok(())
                } else {
                    Err(error)
                }
            })
            .unwrap();
        request.answer().await.unwrap();
        assert!(site.owner(&browser).await.is_some(), "{session}");
    }
}

/// The last of two keys counts in Python, also for the user.
#[tokio::test]
async fn of_two_equal_keys_the_last_counts() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(r#"{"_user_id":"ada","_user_id":"bob"}"#, seconds(60));
    let request = site.open(&browser).await;
    let value = request.get::<String>("_user_id").unwrap();
    assert_eq!(request.owner().as_deref(), value.as_deref());
}

/// Python writes a lone surrogate, for example from a file name, and Flask reads it again.
#[tokio::test]
async fn a_lone_surrogate_loses_no_login() {
    let site = Site::new(importing());
    let browser = site.browser_of_flask(r#"{"_user_id":"ada","a":"\udcff"}"#, seconds(60));
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

/// Base64 has several texts for the same bytes: they are one cookie.
#[tokio::test]
async fn other_texts_of_a_signature_are_no_other_cookie() {
    let site = Site::new(importing().with_idle_timeout(seconds(600)));
    let good = value(KEY, &URL_SAFE_NO_PAD.encode(ADA), site.seconds());
    site.request(&site.with_value(&good), nothing).await;
    site.time.advance(seconds(700));
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for last in alphabet.chars() {
        let other = format!("{}{last}", &good[..good.len() - 1]);
        assert_eq!(site.owner(&site.with_value(&other)).await, None, "{last}");
    }
    for other in [
        format!("\"{good}\""),
        format!("{good}=="),
        format!(" {good}"),
    ] {
        assert_eq!(site.owner(&site.with_value(&other)).await, None, "{other}");
    }
}

/// A session that is started twice in one request, by two extractors at once.
#[tokio::test]
async fn two_extractors_at_once_have_one_session() {
    for session in [ADA, NOBODY] {
        for calls in 0..10 {
            let site = Site::new(importing());
            let browser = site.browser_of_flask(session, seconds(60));
            let request = site.sessions.begin_request();
            site.store.hold_from(calls, When::Before);
            let release = async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                site.store.release();
            };
            let (one, other, ()) = tokio::join!(
                browser.session(&request),
                browser.session(&request),
                release
            );
            let (one, other) = (one.unwrap(), other.unwrap());
            one.insert("a", &1).unwrap();
            assert_eq!(other.get::<u32>("a").unwrap(), Some(1));
            assert_eq!(
                other.get::<u32>("cart").unwrap(),
                Some(7),
                "{session} {calls}"
            );
            assert_eq!(one.owner(), other.owner());
            let saved = match request.finish() {
                session_core::Finish::Ready(outcome) => outcome,
                session_core::Finish::Pending(saving) => saving.await.unwrap(),
            };
            browser.receive(&saved);
            assert_eq!(
                site.value(&browser, "a").await,
                Some(1),
                "{session} {calls}"
            );
            assert_eq!(site.cart(&browser).await, Some(7), "{session} {calls}");
        }
    }
}

/// After a log-out and a save in a request, a further extractor of it finds nobody.
#[tokio::test]
async fn after_a_log_out_in_a_request_a_further_extractor_finds_nobody() {
    for first in [ADA, NOBODY] {
        let site = Site::new(kept());
        let browser = site.browser_of_flask(first, seconds(60));
        browser.set(&format!(
            "session={}; Path=/; Domain=example.org",
            value(
                KEY,
                &URL_SAFE_NO_PAD.encode(r#"{"_user_id":"bob","cart":8}"#),
                site.seconds()
            )
        ));
        let request = site.open(&browser).await;
        assert_eq!(request.get::<u32>("cart").unwrap(), Some(7));
        request.log_out();
        let _saved = request.save().await.unwrap();
        let again = browser.session(&request.inner).await.unwrap();
        assert_eq!(again.owner(), None, "{first}");
        request.answer().await.unwrap();
    }
}

/// A second cookie of the same user, of the same name.
#[tokio::test]
async fn the_first_cookie_that_may_start_one_does() {
    let site = Site::new(kept());
    let text = |it: &str| URL_SAFE_NO_PAD.encode(it);
    let spent = site.browser_of_flask(ADA, seconds(60));
    site.request(&spent, log_out).await;
    site.time.advance(seconds(10));
    let browser = site.browser_of_flask(ADA, seconds(70));
    browser.set(&format!(
        "session={}; Path=/; Domain=example.org",
        value(KEY, &text(ADA), site.seconds())
    ));
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

/// A user who is logged in here, after a log-out, as somebody else keeps that session.
#[tokio::test]
async fn another_users_login_here_goes_first() {
    let site = Site::new(kept().with_idle_timeout(seconds(600)));
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, |session| session.log_in("bob").unwrap())
        .await;
    assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
    site.time.advance(seconds(700));
    assert_eq!(site.owner(&browser).await, None);
}

/// A log-out that is under way while the cookie starts the session: it never survives.
#[tokio::test]
async fn a_log_out_of_another_session_beside_a_start_leaves_none_of_the_older_cookie() {
    for calls in 0..10 {
        for when in [When::Before, When::After] {
            let site = Site::new(kept());
            let device = site.logged_in("ada").await;
            let browser = site.browser_of_flask(ADA, seconds(60));
            site.store.hold_from(calls, when);
            let mut held = std::pin::pin!(site.request(&browser, nothing));
            let pending = futures_util::FutureExt::now_or_never(&mut held).is_none();
            site.store.release();
            site.request(&device, Session::log_out).await;
            if pending {
                held.await;
            }
            // A single log-out ends one session; one that was started before it may go on.
            let owner = site.owner(&browser).await;
            let copy = site.browser_of_flask(ADA, seconds(61));
            assert_eq!(site.owner(&copy).await, None, "{calls} {when:?}");
            drop(owner);
        }
    }
}

/// In case of a failure the log-out is not half: the user is in, or no cookie starts a session.
#[tokio::test]
async fn a_log_out_that_fails_is_all_or_nothing() {
    for method in Method::ALL {
        for failure in [Failure::Before, Failure::After] {
            for skip in 0..3 {
                let site = Site::new(importing());
                let browser = site.browser_of_flask(ADA, seconds(60));
                let copy = site.browser_of_flask(ADA, seconds(61));
                site.request(&browser, nothing).await;
                for _ in 0..skip {
                    site.store.fail(method, Failure::Nothing);
                }
                site.store.fail(method, failure);
                let said = match site.try_open(&browser).await {
                    Ok(request) => {
                        request.log_out();
                        request.answer().await.is_ok()
                    }
                    Err(_) => false,
                };
                site.store.forget_failures();
                if said {
                    assert_eq!(site.owner(&browser).await, None);
                    assert_eq!(
                        site.owner(&copy).await,
                        None,
                        "{method:?} {failure:?} {skip}"
                    );
                }
            }
        }
    }
}

/// Two applications of the same settings, in memory, with the test's clock.
fn in_memory(site: &Site, settings: Settings) -> (Arc<MemoryStore>, Sessions) {
    let store = Arc::new(MemoryStore::new().with_clock(site.time.clock()));
    let sessions = over(site, settings, store.clone());
    (store, sessions)
}

fn over(site: &Site, settings: Settings, store: Arc<dyn SessionStore>) -> Sessions {
    let builder = Sessions::builder(settings, store).with_clock(site.time.clock());
    builder.build().unwrap()
}

async fn owner_in(sessions: &Sessions, browser: &Browser) -> Option<String> {
    let request = sessions.begin_request();
    let session = browser.session(&request).await.unwrap();
    session.owner().map(|it| it.to_string())
}

/// A copy of the store has the log-outs, also under another prefix and encrypted.
#[tokio::test]
async fn a_copy_of_the_store_has_the_log_outs() {
    for other_prefix in [false, true] {
        let site = Site::new(kept());
        let (_, from) = in_memory(&site, kept());
        let mut settings = kept();
        if other_prefix {
            let env = Env::from_iter([("SESSION_KEY_PREFIX", "shop:")]);
            settings = settings.overlaid(&env).unwrap();
        }
        let (_, to) = in_memory(&site, settings);
        let browser = site.browser_of_flask(ADA, seconds(60));
        assert_eq!(owner_in(&from, &browser).await.as_deref(), Some("ada"));
        from.log_out_everywhere("ada").await.unwrap();
        from.log_out_everywhere("bob").await.unwrap();
        let page = from
            .all()
            .unwrap()
            .copy(&to, None, 100, false)
            .await
            .unwrap();
        assert!(page.failed.is_empty());
        assert_eq!(owner_in(&to, &browser).await, None, "{other_prefix}");
        let bob = site.browser_of_flask(r#"{"_user_id":"bob"}"#, seconds(60));
        assert_eq!(owner_in(&to, &bob).await, None, "{other_prefix}");
    }
}

/// While sessions move to another store, the log-outs that the old one has still count, and after.
#[tokio::test]
async fn a_move_keeps_the_log_outs() {
    for announced in [true, false] {
        let site = Site::new(kept());
        let (old_store, old) = in_memory(&site, kept());
        old.log_out_everywhere("ada").await.unwrap();
        let (new_store, new) = in_memory(&site, kept());
        let moving = if announced {
            Moving::announced(new_store.clone(), old_store.clone())
        } else {
            Moving::new(new_store.clone(), old_store.clone())
        };
        let both = over(&site, kept(), Arc::new(moving));
        let ada = site.browser_of_flask(ADA, seconds(60));
        assert_eq!(owner_in(&both, &ada).await, None);
        let bob = site.browser_of_flask(r#"{"_user_id":"bob"}"#, seconds(60));
        assert_eq!(owner_in(&both, &bob).await.as_deref(), Some("bob"));
        both.log_out_everywhere("bob").await.unwrap();
        assert_eq!(owner_in(&both, &bob).await, None);
        both.log_out_everywhere("ada").await.unwrap();
        site.time.advance(seconds(3600));
        let moving = Moving::new(new_store.clone(), old_store.clone());
        new.carry(&moving, None, 100).await.unwrap();
        site.time.advance(seconds(3600));
        for cookie in [&ada, &bob] {
            assert_eq!(owner_in(&new, cookie).await, None, "{announced}");
        }
    }
}

/// An administrator ends a user's session from the list of all: the user's cookies count no more.
#[tokio::test]
async fn an_end_from_the_list_of_all_counts() {
    let site = Site::new(kept());
    let (_, sessions) = in_memory(&site, kept());
    let browser = site.browser_of_flask(ADA, seconds(60));
    assert_eq!(owner_in(&sessions, &browser).await.as_deref(), Some("ada"));
    let all = sessions.all().unwrap();
    let page = all.page(None, 10).await.unwrap();
    assert_eq!(page.sessions.len(), 1);
    assert!(all.end(&page.sessions[0]).await.unwrap());
    let earlier = site.browser_of_flask(ADA, seconds(70));
    assert_eq!(owner_in(&sessions, &earlier).await, None);
}

/// The notes are not taken for sessions, nor for something unreadable.
#[tokio::test]
async fn notes_are_not_listed() {
    let site = Site::new(kept());
    let (_, sessions) = in_memory(&site, kept());
    sessions.log_out_everywhere("ada").await.unwrap();
    let page = sessions.all().unwrap().page(None, 10).await.unwrap();
    assert!(page.sessions.is_empty() && page.unreadable.is_empty());
}

/// A longer lifetime in Flask and here makes no cookie good that was logged out before.
#[tokio::test]
async fn a_longer_lifetime_forgets_no_log_out() {
    let short = signed().with_flask_cookie(flask().with_lifetime(seconds(600)));
    let site = Site::new(short);
    let cookie = site.browser_of_flask(ADA, seconds(10));
    site.sessions.log_out_everywhere("ada").await.unwrap();
    let long = site.with_settings(kept());
    site.time.advance(seconds(700));
    long.store.sweep().await;
    assert_eq!(long.owner(&cookie).await, None);
}

/// Anonymous on failure: what a handler writes then is not saved over Flask's cookie.
#[tokio::test]
async fn anonymous_on_failure_keeps_flasks_cookie() {
    for skip in 0..8 {
        for method in [Method::Load, Method::Insert] {
            for failure in [Failure::Before, Failure::After] {
                for session in [ADA, NOBODY] {
                    let settings = importing().with_on_store_failure(OnStoreFailure::Anonymous);
                    let site = Site::new(settings);
                    let browser = site.browser_of_flask(session, seconds(60));
                    for _ in 0..skip {
                        site.store.fail(method, Failure::Nothing);
                    }
                    site.store.fail(method, failure);
                    let request = site.open(&browser).await;
                    let _maybe = request.insert("b", &1);
                    let _maybe = request.answer().await;
                    site.store.forget_failures();
                    let what = format!("{method:?} {failure:?} {skip} {session}");
                    assert_eq!(site.cart(&browser).await, Some(7), "{what}");
                }
            }
        }
    }
}

/// A session that began with a visitor's cookie, and got its user here: after a log-out everywhere
/// the cookie that started it starts none, as after a log-out.
#[tokio::test]
async fn a_log_out_everywhere_counts_for_the_cookie_that_started_the_session() {
    let mut wrong = Vec::new();
    for way in [
        "log_out",
        "handler",
        "application",
        "list",
        "provider",
        "keeping another",
    ] {
        let site = Site::new(kept());
        let browser = site.browser_of_flask(NOBODY, seconds(60));
        let copy = browser.clone();
        site.request(&browser, |session| {
            session.log_in_from_provider("ada", "sid").unwrap();
        })
        .await;
        match way {
            "log_out" => drop(site.request(&browser, log_out).await),
            "handler" => {
                let request = site.open(&browser).await;
                request.log_out_everywhere(false).await.unwrap();
                request.answer().await.unwrap();
            }
            "application" => drop(site.sessions.log_out_everywhere("ada").await.unwrap()),
            "list" => {
                let listed = site.sessions.owner_sessions("ada").await.unwrap();
                let lineage = listed[0].lineage();
                assert!(
                    site.sessions
                        .end_owner_session("ada", lineage)
                        .await
                        .unwrap()
                );
            }
            "provider" => {
                site.sessions.end_provider_session("sid").await.unwrap();
            }
            _ => {
                let other = site.logged_in("ada").await;
                let request = site.open(&other).await;
                request.log_out_everywhere(true).await.unwrap();
                request.answer().await.unwrap();
            }
        }
        assert_eq!(site.owner(&browser).await, None);
        if site.cart(&copy).await.is_some() {
            wrong.push(way);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Two middleware take the session, and a handler between them logs out and saves: the log-out is
/// the last word of this request. The browser had a session of its own and a kept cookie of Flask's.
#[tokio::test]
async fn a_log_out_that_was_saved_is_the_last_word_of_a_request() {
    let site = Site::new(kept());
    let browser = site.visited().await;
    browser.add(&site.browser_of_flask(ADA, seconds(60)));
    let request = site.open(&browser).await;
    assert_eq!(request.owner(), None);
    request.log_out();
    let _saved = request.save().await.unwrap();
    let again = browser.session(&request.inner).await.unwrap();
    assert_eq!(again.owner(), None);
    let answer = request.answer().await.unwrap();
    assert_eq!(site.owner(&browser).await, None);
    drop(answer);
}

/// A request whose cookie starts no session does not ask the store again for each extractor.
#[tokio::test]
async fn a_cookie_that_counts_no_more_is_asked_for_once_in_a_request() {
    let site = Site::new(kept());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.sessions.log_out_everywhere("ada").await.unwrap();
    let request = site.open(&browser).await;
    site.store.calls();
    let _second = browser.session(&request.inner).await.unwrap();
    assert_eq!(site.store.calls(), []);
}

/// A damaged record of the session that the cookie started is as none, as without Flask's cookie.
#[tokio::test]
async fn a_damaged_record_of_a_started_session_does_not_close_the_site() {
    for store_says in [false, true] {
        let site = Site::new(kept());
        let browser = site.browser_of_flask(ADA, seconds(60));
        site.store.fail(Method::Insert, Failure::After);
        assert!(site.try_open(&browser).await.is_err());
        let key = site.store.last_key();
        site.request(&browser, nothing).await;
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
        if store_says {
            site.store.corrupt(key);
        } else {
            site.store
                .tamper(&key, |bytes| bytes.truncate(bytes.len() - 3))
                .await;
        }
        let only_own = browser.clone();
        only_own.forget("session");
        let own = site.try_open(&only_own).await.map(drop);
        let both = site.try_open(&browser).await.map(drop);
        assert_eq!(own.is_ok(), both.is_ok(), "{store_says}: {own:?} {both:?}");
    }
}

/// `reload`, `save` and a save after the head.
#[tokio::test]
async fn reload_and_save_after_a_start() {
    for session in [ADA, NOBODY] {
        let site = Site::new(importing());
        let browser = site.browser_of_flask(session, seconds(60));
        let request = site.open(&browser).await;
        request.reload().await.unwrap();
        assert_eq!(request.get::<u32>("cart").unwrap(), Some(7));
        request.insert("a", &1).unwrap();
        let _saved = request.save().await.unwrap();
        request.answer().await.unwrap();
        request.insert("a", &2).unwrap();
        let _saved = request.save().await.unwrap();
        assert_eq!(site.value(&browser, "a").await, Some(2));
        assert!(!has_flask(&browser));
    }
}

/// A control for the refused start: another cookie of the user gets in when there is room.
#[tokio::test]
async fn after_a_refused_start_another_cookie_gets_in_when_there_is_room() {
    let settings = kept()
        .with_idle_timeout(seconds(600))
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin);
    let site = Site::new(settings);
    let _first = site.logged_in("ada").await;
    let second = site.browser_of_flask(ADA, seconds(60));
    site.request(&second, nothing).await;
    site.time.advance(seconds(601));
    let third = site.browser_of_flask(ADA, seconds(61));
    site.request(&third, nothing).await;
    assert_eq!(site.owner(&third).await.as_deref(), Some("ada"));
}

/// A refused login in the admission's middle: the store fails, and the next request decides anew.
#[tokio::test]
async fn a_start_at_the_limit_that_fails_is_done_by_the_next_request() {
    let mut wrong = Vec::new();
    for method in Method::ALL {
        for failure in [Failure::Before, Failure::After] {
            for skip in 0..6 {
                let site = Site::new(kept().with_max_per_user(1));
                let _first = site.logged_in("ada").await;
                site.time.advance(seconds(1));
                let second = site.browser_of_flask(ADA, seconds(60));
                for _ in 0..skip {
                    site.store.fail(method, Failure::Nothing);
                }
                site.store.fail(method, failure);
                if let Ok(request) = site.try_open(&second).await {
                    let _maybe = request.answer().await;
                }
                site.store.forget_failures();
                let what = format!("{method:?} {failure:?} {skip}");
                if site.owner(&second).await.as_deref() != Some("ada") {
                    wrong.push(format!("{what}: not in"));
                }
                let live = site.sessions.owner_sessions("ada").await.unwrap().len();
                if live != 1 {
                    wrong.push(format!("{what}: {live} live"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Everything that ends a start between two of its calls, with the next request by the same browser.
#[tokio::test]
async fn a_start_that_is_dropped_is_done_by_the_next_request() {
    for when in [When::Before, When::After] {
        for calls in 0..12 {
            for (session, max) in [(ADA, false), (ADA, true), (NOBODY, false)] {
                let settings = if max {
                    importing().with_max_per_user(1)
                } else {
                    importing()
                };
                let site = Site::new(settings);
                let browser = site.browser_of_flask(session, seconds(60));
                site.store.hold_from(calls, when);
                {
                    let held = std::pin::pin!(site.request(&browser, nothing));
                    let _dropped = futures_util::FutureExt::now_or_never(held);
                }
                site.store.release();
                let what = format!("{when:?} {calls} {session} {max}");
                assert_eq!(site.cart(&browser).await, Some(7), "{what}");
                let live = site.sessions.owner_sessions("ada").await.unwrap().len();
                assert_eq!(live, usize::from(session == ADA), "{what}");
            }
        }
    }
}

/// In Flask `datetime`s are also written by other JSON providers; hostile text does no harm.
#[tokio::test]
async fn hostile_texts_that_flask_signed_do_no_harm() {
    let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    let tagged = |n: usize| format!("{{\"a\":{}1{}}}", "{\" t\":[".repeat(n), "]}".repeat(n));
    let mut texts = vec![
        deep(63),
        deep(64),
        deep(10_000),
        tagged(31),
        tagged(5_000),
        "{\"a\":NaN,\"b\":-Infinity,\"c\":\"\\\\\"}".to_owned(),
        "{\"a\":-NaN}".to_owned(),
        "{NaN:1}".to_owned(),
        "{\"a\":1e999999999}".to_owned(),
        format!("{{\"a\":{}}}", "9".repeat(9000)),
        format!("{{\"a\":0.{}}}", "9".repeat(9000)),
        "{\"a\":{\" d\":\"Mon, 99 Jan 99999999999 99:99:99 GMT\"}}".to_owned(),
        "{\"a\":{\" d\":\"Fri, 31 Dec 9999 23:59:60 GMT\"}}".to_owned(),
        "{\"a\":{\" u\":\"\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\"}}".to_owned(),
        "{\"a\":{\" di\":{}}}".to_owned(),
        "{\"a\":{\" di\":{\"x\":1}}}".to_owned(),
        "{\" t\":[1]}".to_owned(),
        "{\" di\":{\" t__\":[1]}}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        String::new(),
    ];
    texts.push(format!(
        "{{{}}}",
        (0..3000)
            .map(|n| format!("\"k{n}\":1"))
            .collect::<Vec<_>>()
            .join(",")
    ));
    for text in texts {
        for packed in [false, true] {
            let site = Site::new(importing());
            let encoded = if packed {
                let packed = miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), 9);
                format!(".{}", URL_SAFE_NO_PAD.encode(packed))
            } else {
                URL_SAFE_NO_PAD.encode(&text)
            };
            let browser = site.with_value(&value(KEY, &encoded, site.seconds()));
            let request = site.open(&browser).await;
            let keys = request.keys();
            request.answer().await.unwrap();
            let again = site.open(&browser).await;
            assert_eq!(again.keys(), keys, "{}", &text[..text.len().min(60)]);
        }
    }
}

/// A browser that stops a page while its session starts, and loads it again, has a session like
/// any other: it is on the list, it counts to the limit, and a log-out everywhere ends it.
#[tokio::test]
async fn a_start_that_was_dropped_leaves_no_hidden_session() {
    let mut wrong = Vec::new();
    for when in [When::Before, When::After] {
        for calls in 0..12 {
            let site = Site::new(importing().with_max_per_user(1));
            let mut browsers = Vec::new();
            for age in [60, 70, 80] {
                let browser = site.browser_of_flask(ADA, seconds(age));
                site.store.hold_from(calls, when);
                {
                    let held = std::pin::pin!(site.request(&browser, nothing));
                    let _dropped = futures_util::FutureExt::now_or_never(held);
                }
                site.store.release();
                site.request(&browser, |session| session.insert("b", &1).unwrap())
                    .await;
                site.time.advance(seconds(1));
                browsers.push(browser);
            }
            let mut in_use = 0;
            for browser in &browsers {
                in_use += usize::from(site.owner(browser).await.is_some());
            }
            let listed = site.sessions.owner_sessions("ada").await.unwrap().len();
            site.sessions.log_out_everywhere("ada").await.unwrap();
            let mut after = 0;
            for browser in &browsers {
                after += usize::from(site.owner(browser).await.is_some());
            }
            if (in_use, listed, after) != (1, 1, 0) {
                wrong.push(format!(
                    "{when:?} {calls}: {in_use} in use at a limit of 1, {listed} listed, {after} after a log-out everywhere"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The same with requests of one page at once, of which one is dropped.
#[tokio::test]
async fn a_refused_login_is_refused_to_each_request_of_a_page() {
    let settings = kept()
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin);
    let mut wrong = Vec::new();
    for calls in 0..12 {
        let site = Site::new(settings.clone());
        let _first = site.logged_in("ada").await;
        let browser = site.browser_of_flask(ADA, seconds(60));
        site.store.hold_from(calls, When::After);
        {
            let held = std::pin::pin!(site.request(&browser, nothing));
            let _dropped = futures_util::FutureExt::now_or_never(held);
        }
        site.store.release();
        if site.owner(&browser).await.is_some() {
            wrong.push(calls);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// A log-out that goes on as another user is a log-out, too: Flask must not go on as the first.
#[tokio::test]
async fn a_log_out_and_a_login_as_another_user_remove_flasks_cookie() {
    let site = Site::new(kept());
    let browser = site.browser_of_flask(ADA, seconds(60));
    site.request(&browser, nothing).await;
    site.request(&browser, |session| {
        session.log_out();
        session.log_in("bob").unwrap();
    })
    .await;
    assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
    assert!(!has_flask(&browser), "{:?}", browser.header("/"));
}

/// A visitor without a user whose first request fails in the save keeps the values.
#[tokio::test]
async fn a_save_that_fails_after_the_start_loses_no_values_of_a_visitor() {
    for failure in [Failure::Before, Failure::After, Failure::TooLarge] {
        let site = Site::new(importing());
        let browser = site.browser_of_flask(NOBODY, seconds(60));
        let request = site.open(&browser).await;
        request.insert("x", &1).unwrap();
        site.store.fail(Method::Update, failure);
        assert!(request.answer().await.is_err());
        assert_eq!(site.cart(&browser).await, Some(7), "{failure:?}");
    }
}

/// What the handler adds makes the session too large: the request is a 413, and the login stays.
#[tokio::test]
async fn a_413_after_the_start_loses_no_login() {
    let site = Site::new(importing().with_max_bytes(1024));
    let browser = site.browser_of_flask(ADA, seconds(60));
    let request = site.open(&browser).await;
    request.insert("x", &"a".repeat(2000)).unwrap();
    assert!(request.answer().await.is_err());
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

/// A conflict after the start, such as a log-out from a list while the handler works: no user.
#[tokio::test]
async fn a_log_out_from_a_list_while_the_first_request_works() {
    for session in [ADA, NOBODY] {
        let site = Site::new(kept());
        let browser = site.browser_of_flask(session, seconds(60));
        let request = site.open(&browser).await;
        request.insert("x", &1).unwrap();
        site.sessions.log_out_everywhere("ada").await.unwrap();
        let _maybe = request.answer().await;
        assert_eq!(site.owner(&browser).await, None);
    }
}
