//! What a request does if its session ends, is renewed, expires or becomes absent while the request
//! runs.

use std::time::Duration;

use session_core::{Error, Saved, Session, Settings, config::Refresh};

use crate::support::{Browser, Handler, Request, Site, signed};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A request whose session another one has renewed since, and the browser that has the new id.
async fn renewed<'b>(site: &Site, browser: &Browser, stale: &'b Browser) -> Request<'b> {
    let request = site.open(stale).await;
    site.request(browser, Session::renew).await;
    request
}

#[tokio::test]
async fn a_change_after_a_renewal_that_was_overtaken_follows_the_session() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let request = renewed(&site, &browser, &stale).await;
    request.renew();
    let _followed = request.save().await.unwrap();
    assert_eq!(request.owner().as_deref(), Some("ada"));
    request.insert("order", &1).unwrap();
    let outcome = request.answer().await.unwrap();
    assert_eq!(outcome.set_cookie, None);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    assert_eq!(site.value(&browser, "order").await, Some(1));
}

#[tokio::test]
async fn a_change_together_with_a_renewal_that_was_overtaken_follows_the_session() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let request = renewed(&site, &browser, &stale).await;
    request.renew();
    request.insert("order", &1).unwrap();
    request.answer().await.unwrap();
    assert_eq!(site.value(&browser, "order").await, Some(1));
}

#[tokio::test]
async fn a_log_out_after_a_renewal_that_was_overtaken_ends_the_session() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let request = renewed(&site, &browser, &stale).await;
    request.renew();
    let _followed = request.save().await.unwrap();
    request.log_out();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn a_log_out_follows_a_chain_of_renewals() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let request = site.open(&stale).await;
    for _ in 0..10 {
        site.request(&browser, Session::renew).await;
    }
    request.log_out();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn a_log_out_after_the_request_renewed_the_session_itself_removes_the_cookie() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let request = site.open(&browser).await;
    request.renew();
    assert_eq!(request.save().await.unwrap(), Saved::Stored);
    request.log_out();
    let outcome = request.answer().await.unwrap();
    assert!(outcome.set_cookie.as_deref().unwrap().contains("Max-Age=0"));
    assert_eq!(browser.header("/"), None);
}

#[tokio::test]
async fn a_log_out_after_reload_of_a_renewed_session_ends_it() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let request = renewed(&site, &browser, &stale).await;
    request.reload().await.unwrap();
    request.log_out();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn a_login_overtaken_by_one_of_the_same_user_follows_it_and_by_another_users_is_a_conflict() {
    for (winner, follows) in [("ada", true), ("bob", false)] {
        let site = Site::new(signed());
        let browser = site.visited().await;
        let stale = browser.clone();
        let request = site.open(&stale).await;
        site.request(&browser, |session| session.log_in(winner).unwrap())
            .await;
        request.log_in("ada").unwrap();
        request.insert("form", "what ada sent").unwrap();
        let answered = request.answer().await;
        if follows {
            assert_eq!(answered.unwrap().set_cookie, None);
        } else {
            assert!(matches!(answered, Err(Error::Conflict)));
        }
        let form: Option<String> = site.value(&browser, "form").await;
        assert_eq!(form.is_some(), follows);
        assert_eq!(site.owner(&browser).await.as_deref(), Some(winner));
    }
}

#[tokio::test]
async fn a_log_out_that_is_overtaken_by_a_renewal_long_ago_is_done_or_an_error() {
    for reload in [false, true] {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let stale = browser.clone();
        let request = renewed(&site, &browser, &stale).await;
        site.time.advance(Duration::from_secs(100));
        if reload {
            request.reload().await.unwrap();
        }
        request.log_out();
        if request.answer().await.is_ok() {
            assert_eq!(site.owner(&browser).await, None, "reload: {reload}");
        }
    }
}

#[tokio::test]
async fn a_change_that_is_overtaken_by_a_renewal_long_ago_is_stored_or_an_error() {
    for reload in [false, true] {
        let site = Site::new(signed());
        let browser = site.visited().await;
        let stale = browser.clone();
        let request = renewed(&site, &browser, &stale).await;
        site.time.advance(Duration::from_secs(100));
        if reload {
            request.reload().await.unwrap();
        }
        request.insert("order", &1).unwrap();
        if request.answer().await.is_ok() {
            assert_eq!(site.value(&browser, "order").await, Some(1));
        }
    }
}

/// How a record becomes absent without a tombstone, and how long after the load.
#[derive(Clone, Copy, Debug)]
enum Removal {
    /// Evicted, so long after the request had loaded it.
    Evicted(Duration),
    /// Renewed, and its tombstone removed when its time was over.
    Swept,
}

impl Removal {
    const ALL: [Self; 5] = [
        Self::Evicted(Duration::ZERO),
        Self::Evicted(Duration::from_secs(59)),
        Self::Evicted(Duration::from_secs(91)),
        Self::Evicted(DAY),
        Self::Swept,
    ];

    async fn apply<'b>(self, site: &Site, browser: &'b Browser) -> Request<'b> {
        let request = site.open(browser).await;
        match self {
            Self::Evicted(age) => {
                site.time.advance(age);
                site.store.evict(&site.store.last_key()).await;
            }
            Self::Swept => {
                site.request(&browser.clone(), Session::renew).await;
                site.time.advance(DAY);
                site.store.sweep().await;
            }
        }
        request
    }
}

/// The wall clock and the runtime's clock may differ, such as after a sleep of the machine.
#[tokio::test(start_paused = true)]
async fn an_absent_record_without_a_tombstone_is_an_error_at_any_age() {
    let works: [(&str, Handler); 5] = [
        ("change", |session| session.insert("order", &1).unwrap()),
        ("log-out", Session::log_out),
        ("renewal", Session::renew),
        ("login", |session| session.log_in("ada").unwrap()),
        ("extension", Session::extend),
    ];
    for slept in [Duration::ZERO, DAY] {
        for removal in Removal::ALL {
            for (name, work) in works {
                let site = Site::new(signed());
                let browser = site.logged_in("ada").await;
                let request = removal.apply(&site, &browser).await;
                tokio::time::advance(slept).await;
                work(&request);
                let answered = request.answer().await;
                let missing = matches!(answered, Err(Error::Missing));
                assert!(missing, "{name}, {removal:?}: {answered:?}");
            }
            let site = Site::new(signed());
            let browser = site.logged_in("ada").await;
            let request = removal.apply(&site, &browser).await;
            tokio::time::advance(slept).await;
            let reloaded = request.reload().await;
            assert!(matches!(reloaded, Err(Error::Missing)), "{removal:?}");
            // After the reload, the request still knows no more.
            request.log_out();
            assert!(request.answer().await.is_err(), "{removal:?}");
        }
    }
}

#[tokio::test]
async fn what_was_ended_is_no_error_to_the_change_that_comes_too_late() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let request = site.open(&stale).await;
    site.request(&browser, Session::log_out).await;
    request.insert("order", &1).unwrap();
    assert_eq!(request.save().await.unwrap(), Saved::Ended);
    request.log_out();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&stale).await, None);
}

#[tokio::test]
async fn a_request_authorised_as_one_user_does_not_go_on_in_anothers_session() {
    for reload in [true, false] {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let stale = browser.clone();
        let request = site.open(&stale).await;
        assert_eq!(request.owner().as_deref(), Some("ada"));
        site.request(&browser, |session| {
            session.log_in("bob").unwrap();
            session.insert("private", "bob's").unwrap();
        })
        .await;
        if reload {
            request.reload().await.unwrap();
        }
        request.insert("form", "what ada sent").unwrap();
        request.answer().await.unwrap();
        assert_eq!(request.get::<String>("private").unwrap(), None);
        assert_ne!(request.owner().as_deref(), Some("bob"));
        assert_eq!(site.value::<String>(&browser, "form").await, None);
        assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
    }
}

#[tokio::test]
async fn an_anonymous_request_follows_the_login_beside_it() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let stale = browser.clone();
    let request = site.open(&stale).await;
    site.request(&browser, |session| session.log_in("ada").unwrap())
        .await;
    request.insert("basket", &1).unwrap();
    assert_eq!(request.answer().await.unwrap().set_cookie, None);
    assert_eq!(site.value(&browser, "basket").await, Some(1));
}

#[tokio::test]
async fn an_idle_timeout_that_runs_out_while_the_request_runs_loses_nothing() {
    let works: [Handler; 4] = [
        |session| session.insert("upload", &1).unwrap(),
        |session| {
            session.renew();
            session.insert("upload", &1).unwrap();
        },
        |session| {
            session.log_in("ada").unwrap();
            session.insert("upload", &1).unwrap();
        },
        |session| {
            session.extend();
            session.insert("upload", &1).unwrap();
        },
    ];
    for work in works {
        let site = Site::new(signed().with_idle_timeout(15 * MINUTE));
        let browser = site.logged_in("ada").await;
        site.time.advance(Duration::from_secs(890));
        let request = site.open(&browser).await;
        site.time.advance(Duration::from_secs(20));
        site.store.sweep().await;
        work(&request);
        request.answer().await.unwrap();
        let stored = site.open(&browser).await;
        assert_eq!(stored.get("upload").unwrap(), Some(1));
        assert_eq!(stored.owner().as_deref(), Some("ada"));
        let end = site.time.now() + 15 * MINUTE;
        assert_eq!(stored.expires_at(), Some(end));
    }
}

#[tokio::test]
async fn a_log_out_ends_a_session_that_a_request_under_way_would_prolong() {
    for settings in [signed(), Settings::flask()] {
        for after in [0, 1, 5, 100, 500] {
            // A cookie without an end, so that the browser still sends it.
            let settings = settings.clone().with_permanent(false);
            let site = Site::new(settings.with_idle_timeout(MINUTE));
            let browser = site.browser();
            site.request(&browser, |session| {
                session.insert("a", &1).unwrap();
                session.log_in("ada").unwrap();
            })
            .await;
            site.time.advance(Duration::from_secs(59));
            let stale = browser.clone();
            let upload = site.open(&stale).await;
            site.time.advance(Duration::from_secs(after));
            site.request(&browser, Session::log_out).await;
            upload.insert("upload", &1).unwrap();
            let answered = upload.answer().await;
            let stored: Option<i32> = site.value(&stale, "upload").await;
            assert_eq!(stored, None, "after {after} seconds: {answered:?}");
        }
    }
}

#[tokio::test]
async fn in_flasks_profile_what_runs_out_while_the_request_runs_is_stored_or_an_error() {
    for swept in [false, true] {
        let site = Site::new(Settings::flask().with_idle_timeout(15 * MINUTE));
        let browser = site.visited().await;
        let request = site.open(&browser).await;
        site.time.advance(Duration::from_secs(901));
        if swept {
            site.store.sweep().await;
        }
        request.insert("upload", &1).unwrap();
        match request.answer().await {
            Ok(_) => assert_eq!(site.value(&browser, "upload").await, Some(1)),
            Err(error) => assert!(swept && matches!(error, Error::Conflict), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_request_that_outlasts_its_session_revives_it_by_no_refresh() {
    for permanent in [true, false] {
        for refresh in [
            Refresh::WhenDue,
            Refresh::EveryAccess,
            Refresh::EveryRequest,
        ] {
            let settings = signed()
                .with_idle_timeout(15 * MINUTE)
                .with_permanent(permanent)
                .with_refresh(refresh);
            let site = Site::new(settings);
            let browser = site.logged_in("ada").await;
            let request = site.open(&browser).await;
            site.time.advance(25 * MINUTE);
            site.store.calls();
            assert_eq!(request.answer().await.unwrap().set_cookie, None);
            assert_eq!(site.store.writes(), []);
            assert_eq!(site.owner(&browser).await, None);
        }
    }
}

#[tokio::test]
async fn a_log_out_ends_what_ran_out_while_the_request_ran() {
    let site = Site::new(signed().with_idle_timeout(15 * MINUTE));
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let request = site.open(&browser).await;
    site.time.advance(16 * MINUTE);
    request.log_out();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&stale).await, None);
    assert_eq!(browser.header("/"), None);
}

#[tokio::test]
async fn a_change_long_after_the_end_is_an_error() {
    let works: [Handler; 3] = [
        |session| session.insert("upload", &1).unwrap(),
        Session::renew,
        Session::extend,
    ];
    for work in works {
        let site = Site::new(signed().with_idle_timeout(15 * MINUTE));
        let browser = site.logged_in("ada").await;
        let request = site.open(&browser).await;
        // The store keeps the record for ten minutes more.
        site.time.advance(25 * MINUTE);
        work(&request);
        let answered = request.answer().await;
        assert!(matches!(answered, Err(Error::Expired)), "{answered:?}");
    }
}

#[tokio::test]
async fn the_absolute_timeout_ends_a_session_while_its_request_runs() {
    let works: [Handler; 4] = [
        |session| session.insert("upload", &1).unwrap(),
        Session::renew,
        |session| {
            session.renew();
            session.insert("upload", &1).unwrap();
        },
        Session::extend,
    ];
    for work in works {
        let settings = signed()
            .with_idle_timeout(15 * MINUTE)
            .with_absolute_timeout(20 * MINUTE);
        let site = Site::new(settings);
        let browser = site.logged_in("ada").await;
        for _ in 0..2 {
            site.time.advance(9 * MINUTE);
            site.request(&browser, |_| ()).await;
        }
        let stale = browser.clone();
        let request = site.open(&browser).await;
        assert_eq!(request.owner().as_deref(), Some("ada"));
        site.time.advance(2 * MINUTE);
        site.store.calls();
        work(&request);
        let answered = request.answer().await;
        assert!(matches!(answered, Err(Error::Expired)), "{answered:?}");
        assert_eq!(site.store.writes(), []);
        assert_eq!(site.owner(&browser).await, None);
        assert_eq!(site.owner(&stale).await, None);
    }
}

#[tokio::test]
async fn a_login_begins_the_absolute_timeout_again_even_at_its_end() {
    let settings = signed()
        .with_idle_timeout(15 * MINUTE)
        .with_absolute_timeout(20 * MINUTE);
    let site = Site::new(settings);
    let browser = site.logged_in("ada").await;
    site.time.advance(10 * MINUTE);
    site.request(&browser, |_| ()).await;
    site.time.advance(9 * MINUTE);
    let request = site.open(&browser).await;
    site.time.advance(2 * MINUTE);
    request.log_in("ada").unwrap();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_reload_of_what_ran_out_is_an_error() {
    let site = Site::new(signed().with_idle_timeout(15 * MINUTE));
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    site.time.advance(15 * MINUTE);
    assert!(matches!(request.reload().await, Err(Error::Expired)));
}
