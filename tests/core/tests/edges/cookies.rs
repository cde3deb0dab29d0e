//! Which responses carry a cookie: never a dead id, the same for every way to change the cookie,
//! and none without a change.

use std::{future::Future, pin::Pin, time::Duration};

use session_core::{Finish, Saved, Session, Settings, config::Refresh};

use crate::support::{Browser, Handler, Method, Site, signed};

/// What another request does to the session meanwhile.
type Concurrent = for<'s> fn(&'s Site, &'s Browser) -> Pin<Box<dyn Future<Output = ()> + 's>>;

const CONCURRENT: [(&str, Concurrent); 4] = [
    ("renewed", |site, browser| {
        Box::pin(async { drop(site.request(browser, Session::renew).await) })
    }),
    ("logged in to", |site, browser| {
        Box::pin(async {
            let login = |session: &Session| session.log_in("ada").unwrap();
            drop(site.request(browser, login).await);
        })
    }),
    ("ended", |site, browser| {
        Box::pin(async { drop(site.request(browser, Session::log_out).await) })
    }),
    ("ended elsewhere", |site, _| {
        Box::pin(async { assert!(site.sessions.log_out_everywhere("ada").await.unwrap() > 0) })
    }),
];

fn every_access() -> Settings {
    signed().with_refresh(Refresh::EveryAccess)
}

#[tokio::test]
async fn what_was_saved_early_sends_no_id_that_is_dead_by_the_end() {
    for (name, beside) in CONCURRENT {
        let site = Site::new(every_access());
        let browser = site.logged_in("ada").await;
        let stale = browser.clone();
        let slow = site.open(&stale).await;
        slow.insert("b", &2).unwrap();
        assert_eq!(slow.save().await.unwrap(), Saved::Stored);
        beside(&site, &browser).await;
        let late = slow.answer().await.unwrap();
        assert_eq!(late.set_cookie, None, "{name}");
    }
}

#[tokio::test]
async fn a_request_that_only_read_sends_no_id_that_is_dead_by_the_end() {
    for settings in [signed(), every_access()] {
        for (name, beside) in CONCURRENT {
            let site = Site::new(settings.clone());
            let browser = site.logged_in("ada").await;
            let stale = browser.clone();
            site.time.advance(Settings::DEFAULT_IDLE_TIMEOUT / 2);
            let slow = site.open(&stale).await;
            beside(&site, &browser).await;
            let late = slow.answer().await.unwrap();
            assert_eq!(late.set_cookie, None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_request_that_followed_a_renewal_does_not_send_the_id_of_its_early_save() {
    let site = Site::new(every_access());
    let browser = site.visited().await;
    let stale = browser.clone();
    let slow = site.open(&stale).await;
    slow.insert("b", &2).unwrap();
    let _stored = slow.save().await.unwrap();
    site.request(&browser, |session| session.log_in("ada").unwrap())
        .await;
    // Stored in the successor.
    slow.insert("c", &3).unwrap();
    let late = slow.answer().await.unwrap();
    assert_eq!(site.open(&browser).await.keys(), ["a", "b", "c"]);
    assert_eq!(late.set_cookie, None);
}

#[tokio::test]
async fn a_session_that_was_saved_early_and_logged_out_elsewhere_is_not_sent() {
    let site = Site::new(signed());
    let browser = site.browser();
    let request = site.open(&browser).await;
    request.log_in("ada").unwrap();
    let _stored = request.save().await.unwrap();
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
    assert_eq!(request.answer().await.unwrap().set_cookie, None);
}

#[tokio::test]
async fn a_login_that_was_saved_early_is_sent() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let request = site.open(&browser).await;
    request.log_in("ada").unwrap();
    let _stored = request.save().await.unwrap();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn an_answer_that_failed_sends_a_new_id_and_no_old_one() {
    for login in [true, false] {
        let site = Site::new(every_access());
        let browser = site.visited().await;
        let before = browser.header("/");
        let stale = browser.clone();
        let slow = site.open(&stale).await;
        if login {
            slow.log_in("ada").unwrap();
        } else {
            slow.insert("b", &2).unwrap();
        }
        let _stored = slow.save().await.unwrap();
        if !login {
            site.request(&browser, Session::renew).await;
        }
        site.store.go_down(&Method::ALL);
        assert!(slow.answer().await.is_err());
        let failed = slow.inner.failed().set_cookie;
        // The login is stored, and its browser knows of no other id.
        assert_eq!(failed.is_some(), login);
        site.store.come_up();
        if login {
            assert_eq!(site.owner(&stale).await.as_deref(), Some("ada"));
        } else {
            assert_eq!(stale.header("/"), before);
        }
    }
}

#[tokio::test]
async fn what_was_saved_early_is_not_written_again() {
    for settings in [Settings::unsigned(), Settings::flask()] {
        let site = Site::new(settings.with_refresh(Refresh::EveryRequest));
        let browser = site.browser();
        let request = site.open(&browser).await;
        request.insert("a", &1).unwrap();
        let _stored = request.save().await.unwrap();
        site.store.calls();
        assert!(request.answer().await.unwrap().set_cookie.is_some());
        assert_eq!(site.store.writes(), []);

        let request = site.open(&browser).await;
        assert_eq!(request.get("a").unwrap(), Some(1));
        let Finish::Pending(refreshing) = request.inner.finish() else {
            panic!("a request that only reads is refreshed");
        };
        assert!(refreshing.await.unwrap().set_cookie.is_some());
    }
}

#[tokio::test]
async fn a_refresh_of_a_session_that_ended_meanwhile_sets_no_cookie() {
    for settings in [Settings::unsigned(), Settings::flask()] {
        let site = Site::new(settings.with_refresh(Refresh::EveryRequest));
        let browser = site.visited().await;
        let stale = browser.clone();
        let late = site.open(&stale).await;
        let outcome = site.request(&browser, Session::log_out).await;
        assert!(outcome.set_cookie.is_some());
        assert_eq!(late.answer().await.unwrap().set_cookie, None);
    }
}

type Way = (&'static str, Handler);

#[tokio::test]
async fn every_way_to_make_a_session_end_with_the_browser_sends_the_cookie() {
    let ways: [Way; 3] = [
        ("set_permanent", |session| session.set_permanent(false)),
        ("insert", |session| {
            session.insert("_permanent", &false).unwrap();
        }),
        ("update", |session| {
            session
                .update("_permanent", |_: Option<bool>| false)
                .unwrap();
        }),
    ];
    let back: [Way; 4] = [
        ("set_permanent", |session| session.set_permanent(true)),
        ("insert", |session| {
            session.insert("_permanent", &true).unwrap();
        }),
        ("update", |session| {
            session
                .update("_permanent", |_: Option<bool>| true)
                .unwrap();
        }),
        ("remove", |session| {
            session.remove("_permanent");
        }),
    ];
    for refresh in [Refresh::WhenDue, Refresh::OnChange] {
        for (way, ends_with_browser) in ways {
            for (back, outlives_it) in back {
                let site = Site::new(signed().with_refresh(refresh));
                let browser = site.logged_in("ada").await;
                let outcome = site.request(&browser, ends_with_browser).await;
                assert!(outcome.set_cookie.is_some(), "{way}");
                assert_eq!(browser.cookie_end(), None, "{way}");
                let outcome = site.request(&browser, outlives_it).await;
                assert!(outcome.set_cookie.is_some(), "{back}");
                assert!(browser.cookie_end().is_some(), "{back}");
            }
        }
    }
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing_and_sends_nothing() {
    let again: [Way; 9] = [
        ("set_permanent", |session| session.set_permanent(true)),
        ("insert of _permanent", |session| {
            session.insert("_permanent", &true).unwrap();
        }),
        ("update of _permanent", |session| {
            session
                .update("_permanent", |_: Option<bool>| true)
                .unwrap();
        }),
        ("insert", |session| session.insert("n", &[1, 2]).unwrap()),
        ("update", |session| {
            session
                .update("n", |n: Option<Vec<i32>>| n.unwrap_or_default())
                .unwrap();
        }),
        ("set_lifetime", |session| {
            session.set_lifetime(Some(Duration::from_secs(86_400)));
        }),
        ("set_label", |session| session.set_label(Some("Firefox"))),
        ("remove", |session| {
            assert!(session.remove("nothing").is_none());
        }),
        ("take_flashes", |session| {
            assert_eq!(session.take_flashes().unwrap(), []);
        }),
    ];
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| {
        session.set_permanent(true);
        session.insert("n", &[1, 2]).unwrap();
        session.set_lifetime(Some(Duration::from_secs(86_400)));
        session.set_label(Some("Firefox"));
    })
    .await;
    for (name, work) in again {
        for _ in 0..3 {
            site.store.calls();
            let outcome = site.request(&browser, work).await;
            assert_eq!(outcome.set_cookie, None, "{name}");
            assert_eq!(site.store.calls(), [Method::Load], "{name}");
        }
    }
    // All of it together.
    let outcome = site
        .request(&browser, |session| {
            for (_, work) in again {
                work(session);
            }
        })
        .await;
    assert_eq!(outcome.set_cookie, None);
    assert_eq!(site.store.calls(), [Method::Load]);
}

#[tokio::test]
async fn flasks_habit_of_setting_permanent_each_time_costs_one_write() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| session.set_permanent(true))
        .await;
    site.store.calls();
    for _ in 0..10 {
        site.request(&browser, |session| session.set_permanent(true))
            .await;
    }
    assert_eq!(site.store.writes(), []);
}

#[tokio::test]
async fn an_equal_value_after_another_change_is_stored() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    site.request(&browser, |session| {
        session.insert("a", &2).unwrap();
        session.insert("a", &1).unwrap();
        session.insert("b", &2).unwrap();
    })
    .await;
    assert_eq!(site.value(&browser, "a").await, Some(1));
    assert_eq!(site.value(&browser, "b").await, Some(2));
}

#[tokio::test]
async fn answers_that_used_a_users_session_are_not_cached_by_the_browser() {
    let site = Site::new(signed());
    let anonymous = site.visited().await;
    let browser = site.logged_in("ada").await;
    let reads = |session: &Session| drop(session.owner());
    assert!(site.request(&browser, reads).await.no_store);
    assert!(!site.request(&anonymous, reads).await.no_store);
    assert!(!site.request(&site.browser(), reads).await.no_store);
    // The session was not used.
    let Finish::Ready(outcome) = site.sessions.begin_request().finish() else {
        panic!("there is nothing to save");
    };
    assert!(!outcome.no_store);
    // The session was used by code that cannot wait.
    let request = site.open(&browser).await;
    assert!(request.inner.loaded().is_some());
    assert!(request.answer().await.unwrap().no_store);
    // The page of a login.
    let login = |session: &Session| session.log_in("ada").unwrap();
    assert!(site.request(&anonymous, login).await.no_store);
}

#[tokio::test]
async fn a_refresh_on_a_route_that_did_not_use_the_session_may_be_cached_by_the_browser() {
    let site = Site::new(signed().with_refresh(Refresh::EveryRequest));
    let browser = site.logged_in("ada").await;
    let visit = site.sessions.begin_request();
    let header = browser.header("/").unwrap();
    visit
        .open_untouched(&mut [header.as_bytes()].into_iter())
        .await
        .unwrap();
    let Finish::Pending(refreshing) = visit.finish() else {
        panic!("every request is refreshed");
    };
    assert!(!refreshing.await.unwrap().no_store);
}

#[tokio::test]
async fn the_setting_leaves_the_browsers_cache_to_the_application() {
    let site = Site::new(signed().with_no_store(false));
    let browser = site.logged_in("ada").await;
    let outcome = site
        .request(&browser, |session| drop(session.owner()))
        .await;
    assert!(!outcome.no_store);
}

#[tokio::test]
async fn a_page_with_a_users_data_is_not_kept_though_the_session_ended_meanwhile() {
    let works: [Handler; 3] = [
        |session| session.insert("seen", &1).unwrap(),
        Session::renew,
        Session::extend,
    ];
    for work in works {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let stale = browser.clone();
        let request = site.open(&stale).await;
        assert_eq!(request.owner().as_deref(), Some("ada"));
        site.request(&browser, Session::log_out).await;
        work(&request);
        assert!(request.answer().await.unwrap().no_store);
    }
    // Nor one whose own handler logged out, or whose save failed.
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    request.insert("a", &1).unwrap();
    site.store.go_down(&Method::WRITES);
    assert!(request.answer().await.is_err());
    assert!(request.inner.failed().no_store);
    site.store.come_up();
    let outcome = site.request(&browser, Session::log_out).await;
    assert!(outcome.no_store || outcome.set_cookie.is_some());
}
