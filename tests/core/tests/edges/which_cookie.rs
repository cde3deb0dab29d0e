//! Requests with several cookies of the session's name, after a change of path, domain or keys, or
//! from an attacker.

use session_core::{CookieAttributes, Error, Session, Settings, config::FlaskSessions};

use crate::support::{Browser, Failure, Handler, Log, Method, Site, flask_cookie, keys, signed};

/// What a browser sends that has the cookies of all of `browsers`, in this order.
fn together(site: &Site, browsers: &[&Browser]) -> Browser {
    let all = site.browser();
    for browser in browsers {
        all.add(browser);
    }
    all
}

/// A browser whose session was ended, and whose cookie no removal reached.
async fn dead(site: &Site) -> Browser {
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    site.request(&browser, Session::log_out).await;
    stale
}

/// A browser whose session was renewed, and that does not have the new cookie.
async fn late(site: &Site) -> Browser {
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    site.request(&browser, Session::renew).await;
    stale
}

fn forged(site: &Site, number: usize) -> Browser {
    let browser = site.browser();
    let id = format!("{number:043}");
    browser.set(&format!("__Host-session={id}.{id}; Path=/"));
    browser
}

#[tokio::test]
async fn a_dead_cookie_before_a_live_one_locks_nobody_out() {
    let site = Site::new(signed());
    let (old, new) = (dead(&site).await, site.logged_in("ada").await);
    let both = together(&site, &[&old, &new]);
    assert_eq!(site.owner(&both).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn whatever_is_not_live_gives_way_to_a_live_cookie() {
    let site = Site::new(signed());
    let live = site.logged_in("ada").await;
    let expired = site.logged_in("bob").await;
    site.request(&expired, |session| {
        session.set_lifetime(Some(std::time::Duration::from_secs(1)));
    })
    .await;
    let expired = expired.clone();
    let (gone, lost_key) = (site.logged_in("bob").await, site.store.last_key());
    site.store.evict(&lost_key).await;
    let (damaged, damaged_key) = (site.logged_in("bob").await, site.store.last_key());
    site.store
        .tamper(&damaged_key, |bytes| bytes.truncate(50))
        .await;
    let not_live = [
        ("ended", dead(&site).await),
        ("renewed", late(&site).await),
        ("gone", gone),
        ("damaged", damaged),
        ("expired", expired.clone()),
    ];
    // The browser's clock and the site's differ: it still sends the expired one.
    let header = |browser: &Browser| browser.header("/").unwrap();
    let expired_pair = header(&expired);
    site.time.advance(std::time::Duration::from_secs(2));
    for (name, browser) in not_live {
        let first = match name {
            "expired" => expired_pair.clone(),
            _ => header(&browser),
        };
        let both = site.browser();
        both.set(&format!("{first}; Path=/"));
        let both = together(&site, &[&both, &live]);
        assert_eq!(site.owner(&both).await.as_deref(), Some("ada"), "{name}");
        // And it is the live one that a log-out ends.
        let request = site.open(&both).await;
        request.insert(name, &true).unwrap();
        request.answer().await.unwrap();
        assert_eq!(site.value(&live, name).await, Some(true));
    }
}

#[tokio::test]
async fn a_log_out_ends_the_live_one_of_several_sessions() {
    let site = Site::new(signed());
    let live = site.logged_in("ada").await;
    let both = together(&site, &[&dead(&site).await, &late(&site).await, &live]);
    site.request(&both, Session::log_out).await;
    assert_eq!(site.owner(&live).await, None);
}

#[tokio::test]
async fn forged_cookies_do_not_count_towards_the_four() {
    let site = Site::new(signed());
    let live = site.logged_in("ada").await;
    let forged: Vec<_> = (0..20).map(|number| forged(&site, number)).collect();
    let mut all: Vec<_> = forged.iter().collect();
    all.push(&live);
    let all = together(&site, &all);
    site.store.calls();
    assert_eq!(site.owner(&all).await.as_deref(), Some("ada"));
    assert_eq!(site.store.calls(), [Method::Load], "no forged id is loaded");
}

#[tokio::test]
async fn a_request_costs_four_loads_at_most() {
    let site = Site::new(signed());
    let mut browsers = Vec::new();
    for _ in 0..10 {
        browsers.push(dead(&site).await);
    }
    let all = together(&site, &browsers.iter().collect::<Vec<_>>());
    site.store.calls();
    assert_eq!(site.owner(&all).await, None);
    assert_eq!(site.store.calls(), [Method::Load; 4]);
    // The same cookie twice is one candidate.
    let (first, live) = (&browsers[0], site.logged_in("ada").await);
    let all = together(&site, &[first, first, first, first, &live]);
    site.store.calls();
    assert_eq!(site.owner(&all).await.as_deref(), Some("ada"));
    assert_eq!(site.store.calls(), [Method::Load; 2]);
}

#[tokio::test]
async fn among_several_that_are_not_live_a_renewed_one_is_not_forgotten() {
    let site = Site::new(signed());
    let (old, renewed) = (dead(&site).await, late(&site).await);
    for order in [[&old, &renewed], [&renewed, &old]] {
        let both = together(&site, &order);
        let request = site.open(&both).await;
        assert_eq!(request.owner(), None);
        request.insert("a", &1).unwrap();
        assert!(matches!(request.answer().await, Err(Error::Conflict)));
    }
}

#[tokio::test]
async fn a_log_out_with_a_renewed_and_a_dead_cookie_ends_the_successor() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    site.request(&browser, Session::renew).await;
    let old = dead(&site).await;
    for order in [[&old, &stale], [&stale, &old]] {
        let both = together(&site, &order);
        site.request(&both, Session::log_out).await;
        assert_eq!(site.owner(&browser).await, None);
    }
}

#[tokio::test]
async fn a_record_of_a_later_release_is_not_skipped() {
    let site = Site::new(signed());
    let later = site.logged_in("ada").await;
    site.store
        .tamper(&site.store.last_key(), |bytes| bytes[1] = 9)
        .await;
    let both = together(&site, &[&later, &site.logged_in("bob").await]);
    let opened = site.try_open(&both).await;
    assert!(matches!(opened, Err(Error::LaterVersion)), "{opened:?}");
}

#[tokio::test]
async fn after_a_change_of_path_the_new_login_counts_though_the_old_cookie_comes_first() {
    let at = |path: &str| {
        let cookie = CookieAttributes {
            path: path.into(),
            ..flask_cookie()
        };
        signed().with_cookie(cookie)
    };
    let before = Site::new(at("/app"));
    let browser = before.browser();
    let request = |site: &Site, work: Handler| {
        let visit = site.sessions.begin_request();
        let header = browser.header("/app/page");
        let browser = &browser;
        async move {
            let mut headers = header.as_deref().map(str::as_bytes).into_iter();
            let session = visit.session(&mut headers).await.unwrap();
            let owner = session.owner();
            work(&session);
            let outcome = match visit.finish() {
                session_core::Finish::Ready(outcome) => outcome,
                session_core::Finish::Pending(saving) => saving.await.unwrap(),
            };
            browser.receive(&outcome);
            owner
        }
    };
    let login: Handler = |session| session.log_in("ada").unwrap();
    request(&before, login).await;
    let after = before.with_settings(at("/"));
    // The removal does not reach the cookie of the old path.
    request(&after, Session::log_out).await;
    assert!(browser.header("/app/page").is_some());
    assert_eq!(request(&after, login).await, None);
    for _ in 0..3 {
        let owner = request(&after, |_| ()).await;
        assert_eq!(owner.as_deref(), Some("ada"));
    }
    request(&after, Session::log_out).await;
    assert_eq!(request(&after, |_| ()).await, None);
}

#[tokio::test]
async fn a_dead_cookie_of_flasks_gives_way_to_a_live_one() {
    let flask = Settings::flask()
        .with_keys(keys())
        .with_cookie(flask_cookie());
    for sessions in [FlaskSessions::Keep, FlaskSessions::Move] {
        let flask = Site::new(flask.clone());
        let old = flask.visited().await;
        let stale = old.clone();
        flask.request(&old, Session::log_out).await;
        let native = signed()
            .with_cookie(flask_cookie())
            .with_flask_sessions(sessions);
        let native = flask.with_settings(native);
        let live = native.logged_in("ada").await;
        for order in [[&stale, &live], [&live, &stale]] {
            let both = together(&native, &order);
            assert_eq!(native.owner(&both).await.as_deref(), Some("ada"));
        }
    }
}

#[tokio::test]
async fn several_cookies_are_no_warning() {
    let site = Site::new(signed());
    let both = together(&site, &[&dead(&site).await, &site.logged_in("ada").await]);
    let (log, _guard) = Log::start();
    for _ in 0..3 {
        site.request(&both, |_| ()).await;
    }
    assert_eq!(log.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_log_out_ends_every_session_whose_id_came_with_the_request() {
    let site = Site::new(signed());
    let (first, second) = (site.logged_in("ada").await, site.logged_in("bob").await);
    let (renewed, third) = (late(&site).await, site.visited().await);
    let all = together(&site, &[&first, &renewed, &second, &third]);
    site.request(&all, Session::log_out).await;
    for browser in [&first, &second, &third] {
        assert!(site.open(browser).await.is_new());
    }
    let left = site.sessions.owner_sessions("ada").await.unwrap();
    assert_eq!(left.len(), 0, "the renewed session has ended, too");
}

#[tokio::test]
async fn a_log_out_succeeds_if_another_cookie_opens_nothing() {
    let site = Site::new(signed());
    for other in [dead(&site).await, forged(&site, 1)] {
        let live = site.logged_in("ada").await;
        for order in [[&live, &other], [&other, &live]] {
            let both = together(&site, &order);
            site.request(&both, Session::log_out).await;
            assert_eq!(site.owner(&live).await, None);
        }
    }
    let (live, lost) = (site.logged_in("ada").await, site.logged_in("bob").await);
    site.store.evict(&site.store.last_key()).await;
    let both = together(&site, &[&live, &lost]);
    site.request(&both, Session::log_out).await;
    assert_eq!(site.owner(&live).await, None);
}

#[tokio::test]
async fn a_log_out_that_could_not_end_every_session_is_an_error() {
    let site = Site::new(signed());
    let (first, second) = (site.logged_in("ada").await, site.logged_in("ada").await);
    let both = together(&site, &[&first, &second]);
    let request = site.open(&both).await;
    request.log_out();
    site.store.fail(Method::Load, Failure::Before);
    assert!(request.answer().await.is_err());
    // The browser tries again.
    site.request(&both, Session::log_out).await;
    assert_eq!(site.owner(&first).await, None);
    assert_eq!(site.owner(&second).await, None);
}

#[tokio::test]
async fn a_log_out_ends_every_renewed_session_whose_old_id_came_with_the_request() {
    for lives in [false, true] {
        let site = Site::new(signed());
        let mut all = vec![late(&site).await, late(&site).await];
        if lives {
            all.push(site.logged_in("ada").await);
        }
        let all = together(&site, &all.iter().collect::<Vec<_>>());
        site.request(&all, Session::log_out).await;
        let left = site.sessions.owner_sessions("ada").await.unwrap();
        assert_eq!(left.len(), 0, "beside a live one: {lives}");
    }
}

/// An old id has no rights after 90 seconds. But as long as its tombstone is found, its session can
/// be ended.
#[tokio::test]
async fn a_log_out_follows_an_old_id_as_long_as_its_tombstone_exists() {
    let minute = std::time::Duration::from_secs(60);
    for (minutes, others) in [(2, 0), (9, 0), (9, 1)] {
        let site = Site::new(signed());
        let stale = late(&site).await;
        site.time.advance(minute * minutes);
        let all = match others {
            0 => stale,
            _ => together(&site, &[&dead(&site).await, &stale]),
        };
        let everywhere = site.open(&all).await;
        assert!(
            everywhere.log_out_everywhere(false).await.is_err(),
            "whose?"
        );
        drop(everywhere);
        site.request(&all, Session::log_out).await;
        let left = site.sessions.owner_sessions("ada").await.unwrap();
        assert_eq!(left.len(), 0, "{minutes} minutes later");
    }
}

/// A record that cannot be read may be read elsewhere, so its log-out is not confirmed.
#[tokio::test]
async fn a_log_out_beside_an_unreadable_record_is_no_success_in_any_order() {
    for place in 0..2 {
        for other in ["live", "dead", "late"] {
            let site = Site::new(signed());
            let damaged = site.logged_in("ada").await;
            let truncate = |bytes: &mut Vec<u8>| bytes.truncate(50);
            site.store.tamper(&site.store.last_key(), truncate).await;
            let other_browser = match other {
                "live" => site.logged_in("ada").await,
                "dead" => dead(&site).await,
                _ => late(&site).await,
            };
            let mut both = [&damaged, &other_browser];
            both.rotate_left(place);
            let both = together(&site, &both);
            let request = site.open(&both).await;
            request.log_out();
            assert!(
                request.answer().await.is_err(),
                "{other}, rotated by {place}"
            );
            assert_eq!(site.owner(&other_browser).await, None, "{other}");
        }
    }
}

#[tokio::test]
async fn a_record_that_the_store_calls_corrupt_is_an_unreadable_one() {
    let site = Site::new(signed());
    let (stale, damaged) = (late(&site).await, site.logged_in("ada").await);
    site.store.corrupt(site.store.last_key());
    let both = together(&site, &[&stale, &damaged]);
    let request = site.open(&both).await;
    request.insert("a", &1).unwrap();
    let answer = request.answer().await;
    assert!(matches!(answer, Err(Error::Conflict)), "{answer:?}");
}
