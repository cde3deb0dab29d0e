//! Rotation: the id of a session changes by itself, and the old one leads to the new one for a
//! while.

use std::time::Duration;

use session_core::{Error, Saved, Session, SessionId, Settings};

use crate::support::{Browser, Failure, Log, Method, Site, signed};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn rotating() -> Settings {
    signed().with_rotation(HOUR)
}

/// A site, the browser of a user whose id was just rotated, and the browser as it was before.
async fn rotated(settings: Settings) -> (Site, Browser, Browser) {
    let site = Site::new(settings);
    let browser = site.logged_in("ada").await;
    let old = rotate(&site, &browser).await;
    (site, browser, old)
}

/// Rotates the browser's id. Returns the browser as it was before.
async fn rotate(site: &Site, browser: &Browser) -> Browser {
    // The id has to be in use for the period.
    site.request(browser, |_| {}).await;
    site.time.advance(HOUR);
    let old = browser.clone();
    site.request(browser, |_| {}).await;
    assert_ne!(browser.header("/"), old.header("/"));
    old
}

async fn is_ada(site: &Site, browser: &Browser) -> bool {
    site.owner(browser).await.as_deref() == Some("ada")
}

#[tokio::test]
async fn an_id_is_rotated_after_its_period_and_not_before() {
    let site = Site::new(rotating());
    let browser = site.logged_in("ada").await;
    site.time.advance(3599 * SECOND);
    let early = site.request(&browser, |_| {}).await;
    assert_eq!(early.set_cookie, None);
    site.time.advance(SECOND);
    let before = site.open(&browser).await.lineage();
    let due = site.request(&browser, |session| session.insert("a", &1).unwrap());
    assert!(due.await.set_cookie.is_some());
    assert_eq!(site.open(&browser).await.lineage(), before);
    assert_eq!(site.value(&browser, "a").await, Some(1));
    assert!(is_ada(&site, &browser).await);
    // The next period begins with the first use of the new id.
    site.time.advance(HOUR);
    let first = site.request(&browser, |_| {}).await;
    assert_eq!(first.set_cookie, None);
    site.time.advance(HOUR);
    assert!(site.request(&browser, |_| {}).await.set_cookie.is_some());
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_old_id_gets_the_cookie_until_the_new_one_is_presented_then_30_seconds_nothing() {
    let (site, browser, old) = rotated(rotating()).await;
    for _ in 0..3 {
        // Each answer may be the one that is lost.
        site.time.advance(HOUR);
        let lost = old.clone();
        let answer = site.request(&lost, |session| session.insert("a", &1).unwrap());
        assert!(answer.await.set_cookie.is_some());
        assert_eq!(lost.header("/"), browser.header("/"));
    }
    site.request(&browser, |_| {}).await;
    for waits in [0, 15, 14] {
        site.time.advance(waits * SECOND);
        let answer = site.request(&old, |session| {
            assert_eq!(session.owner().as_deref(), Some("ada"));
            session
                .update("n", |n: Option<u8>| n.unwrap_or(0) + 1)
                .unwrap();
        });
        assert_eq!(answer.await.set_cookie, None);
    }
    assert_eq!(site.value(&browser, "n").await, Some(3));
    site.time.advance(SECOND);
    assert!(!is_ada(&site, &old).await);
    assert!(is_ada(&site, &browser).await);
}

#[tokio::test]
async fn a_refused_id_is_a_security_event_and_changes_nothing() {
    let (site, browser, old) = rotated(rotating()).await;
    site.request(&browser, |_| {}).await;
    site.time.advance(30 * SECOND);
    let (log, _guard) = Log::start();
    let request = site.open(&old).await;
    let lines = log.lines().join("\n");
    assert!(lines.contains("event=\"rotated_id\""), "{lines}");
    assert!(lines.contains("lineage="), "{lines}");
    request.insert("b", &1).unwrap();
    let refused = request.answer().await;
    assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    // Much later it is an id like any other that opens nothing.
    site.time.advance(HOUR);
    let much_later = old.clone();
    site.request(&much_later, |session| session.insert("b", &1).unwrap())
        .await;
    assert_eq!(site.owner(&much_later).await, None);
    assert_eq!(site.value(&much_later, "b").await, Some(1));
    assert_eq!(log.lines().len(), 1);
    assert_eq!(site.value::<u8>(&browser, "b").await, None);
    assert!(is_ada(&site, &browser).await);
}

#[tokio::test]
async fn a_refused_id_ends_the_session_if_the_application_says_so() {
    let settings = || rotating().with_rotated_id_ending_session(true);
    let (site, browser, old) = rotated(settings()).await;
    site.request(&browser, |_| {}).await;
    site.time.advance(29 * SECOND);
    site.request(&old, |_| {}).await;
    assert!(is_ada(&site, &browser).await);
    site.time.advance(SECOND);
    let answer = site.request(&old, |_| {}).await;
    assert_eq!(answer.set_cookie, None);
    assert!(!is_ada(&site, &browser).await);
    assert!(
        site.sessions
            .owner_sessions("ada")
            .await
            .unwrap()
            .is_empty()
    );
    // It is no more than that: another session of the same browser goes on.
    let (site, browser, old) = rotated(settings()).await;
    site.request(&browser, |_| {}).await;
    site.time.advance(3599 * SECOND);
    let other = site.visited().await;
    old.add(&other);
    let answer = site
        .request(&old, |session| assert!(session.contains("a")))
        .await;
    assert_eq!(answer.set_cookie, None);
    assert!(!is_ada(&site, &browser).await);
    assert_eq!(site.value(&other, "a").await, Some(1));
}

#[tokio::test]
async fn a_session_of_another_user_is_not_ended_by_a_rotated_id() {
    let (site, browser, old) = rotated(rotating().with_rotated_id_ending_session(true)).await;
    site.request(&browser, |_| {}).await;
    site.time.advance(30 * SECOND);
    let request = site.open(&old).await;
    site.request(&browser, |session| session.log_in("bob").unwrap())
        .await;
    request.answer().await.unwrap();
    assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
}

#[tokio::test]
async fn a_browser_with_both_cookies_is_no_thief() {
    let (site, browser, old) = rotated(rotating().with_rotated_id_ending_session(true)).await;
    let (log, _guard) = Log::start();
    // The old cookie comes first, as one for a longer path does.
    let both = |first: &Browser| {
        let both = first.clone();
        both.add(&browser);
        both
    };
    for _ in 0..2 {
        site.request(&both(&old), |_| {}).await;
        site.time.advance(30 * SECOND);
    }
    assert!(is_ada(&site, &both(&old)).await);
    let older = old;
    rotate(&site, &browser).await;
    site.request(&browser, |_| {}).await;
    site.time.advance(30 * SECOND);
    site.request(&both(&older), |_| {}).await;
    assert!(is_ada(&site, &browser).await);
    assert_eq!(log.lines(), [] as [String; 0]);
}

#[tokio::test]
async fn a_chain_of_rotations_is_followed_as_long_as_each_is_fresh() {
    let site = Site::new(signed().with_rotation(SECOND));
    let browser = site.logged_in("ada").await;
    let first = browser.clone();
    for _ in 0..14 {
        // One request rotates, and the next is the first with the new id.
        site.time.advance(SECOND);
        site.request(&browser, |_| {}).await;
        site.time.advance(SECOND);
        site.request(&browser, |_| {}).await;
        let answer = site.request(&first, |_| {}).await;
        assert_eq!(answer.set_cookie, None);
        assert!(is_ada(&site, &first).await);
    }
    // The first successor was presented two seconds after the login.
    site.time.advance(4 * SECOND);
    assert!(!is_ada(&site, &first).await);
    assert!(is_ada(&site, &browser).await);
}

#[tokio::test]
async fn an_id_that_a_renewal_a_login_or_a_log_out_gives_up_has_no_grace() {
    let works: [fn(&Session); 4] = [
        Session::renew,
        |session| session.reauthenticate().unwrap(),
        |session| session.log_in("bob").unwrap(),
        Session::log_out,
    ];
    for works in works {
        // By the new id, and by the old one.
        for by_old in [false, true] {
            let (site, browser, old) = rotated(rotating()).await;
            let new = browser.clone();
            let by = if by_old { old.clone() } else { browser };
            site.request(&by, works).await;
            for dead in [&old, &new] {
                assert_eq!(site.owner(dead).await, None);
                assert!(!site.open(dead).await.contains("a"));
            }
        }
    }
}

#[tokio::test]
async fn a_log_out_with_an_old_id_ends_the_session_in_its_grace_and_after() {
    for (presents, waits) in [(false, 0), (true, 0), (true, 29), (true, 30), (true, 3000)] {
        let (site, browser, old) = rotated(rotating()).await;
        if presents {
            site.request(&browser, |_| {}).await;
        }
        site.time.advance(waits * SECOND);
        let answer = site.request(&old, Session::log_out).await;
        assert!(answer.set_cookie.as_ref().unwrap().contains("Max-Age=0"));
        assert!(!is_ada(&site, &browser).await, "{presents} {waits}");
    }
}

#[tokio::test]
async fn a_log_out_everywhere_ends_rotated_sessions() {
    let (site, browser, old) = rotated(rotating()).await;
    let another = site.logged_in("ada").await;
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 2);
    for browser in [&browser, &old, &another] {
        assert!(!is_ada(&site, browser).await);
    }
    // By the old id, and all but its own.
    let (site, browser, old) = rotated(rotating()).await;
    let another = site.logged_in("ada").await;
    let request = site.open(&old).await;
    assert_eq!(request.log_out_everywhere(true).await.unwrap(), 1);
    request.answer().await.unwrap();
    assert!(!is_ada(&site, &another).await);
    assert!(is_ada(&site, &browser).await && is_ada(&site, &old).await);
}

#[tokio::test]
async fn a_login_or_a_renewal_beside_a_rotation_succeeds_and_leaves_no_grace() {
    let works: [fn(&Session); 3] = [
        Session::renew,
        |session| session.log_in("ada").unwrap(),
        |session| session.log_in("bob").unwrap(),
    ];
    for (number, works) in works.into_iter().enumerate() {
        let site = Site::new(rotating());
        let browser = site.logged_in("ada").await;
        site.time.advance(HOUR);
        let (old, beside) = (browser.clone(), browser.clone());
        let request = site.open(&beside).await;
        site.request(&browser, |session| session.insert("a", &1).unwrap())
            .await;
        works(&request);
        assert!(request.answer().await.unwrap().set_cookie.is_some());
        let owner = if number == 2 { "bob" } else { "ada" };
        assert_eq!(site.owner(&beside).await.as_deref(), Some(owner));
        let kept = (number < 2).then_some(1);
        assert_eq!(site.value(&beside, "a").await, kept);
        for dead in [&old, &browser] {
            assert_eq!(site.owner(dead).await, None);
        }
    }
}

#[tokio::test]
async fn requests_that_rotate_at_once_agree_on_one_id() {
    let site = Site::new(rotating());
    let browser = site.logged_in("ada").await;
    site.time.advance(HOUR);
    let old = browser.clone();
    let mut requests = Vec::new();
    for _ in 0..8 {
        requests.push(site.open(&browser).await);
    }
    let mut cookies = Vec::new();
    for request in &requests {
        request
            .update("n", |n: Option<u8>| n.unwrap_or(0) + 1)
            .unwrap();
    }
    for request in &requests {
        cookies.extend(request.answer().await.unwrap().set_cookie.clone());
    }
    assert_eq!(cookies.len(), 1);
    assert_eq!(site.value(&browser, "n").await, Some(8));
    assert_eq!(site.value(&old, "n").await, Some(8));
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_rotation_that_fails_fails_no_request_and_is_tried_again() {
    for method in [Method::Insert, Method::Update, Method::Load] {
        for failure in [Failure::Before, Failure::After] {
            let site = Site::new(rotating());
            let browser = site.logged_in("ada").await;
            site.time.advance(HOUR);
            let old = browser.clone();
            let request = site.open(&browser).await;
            site.store.fail(method, failure);
            site.store.fail(method, failure);
            let answer = request.answer().await.unwrap();
            // Nobody knows whether the new id was ended meanwhile, and the old one leads to it.
            assert_eq!(answer.set_cookie, None, "{method:?} {failure:?}");
            assert_eq!(request.save().await.unwrap(), Saved::Unchanged);
            site.store.forget_failures();
            for _ in 0..2 {
                site.request(&old, |session| {
                    assert_eq!(session.owner().as_deref(), Some("ada"));
                })
                .await;
            }
            assert!(is_ada(&site, &browser).await, "{method:?} {failure:?}");
            let live = site.sessions.owner_sessions("ada").await.unwrap();
            assert_eq!(live.len(), 1);
        }
    }
}

#[tokio::test]
async fn what_a_request_changes_is_stored_whether_its_rotation_fails_or_not() {
    let site = Site::new(rotating());
    let browser = site.logged_in("ada").await;
    site.time.advance(HOUR);
    let request = site.open(&browser).await;
    request.insert("a", &1).unwrap();
    site.store.fail(Method::Insert, Failure::Before);
    assert_eq!(request.answer().await.unwrap().set_cookie, None);
    assert_eq!(site.value(&browser, "a").await, Some(1));
    // A session beyond a limit that was lowered is rotated, too.
    let lowered = rotating().with_max_keys(1);
    site.request(&browser, |session| session.insert("b", &1).unwrap())
        .await;
    let site = site.with_settings(lowered);
    rotate(&site, &browser).await;
    assert_eq!(site.value(&browser, "b").await, Some(1));
}

#[tokio::test]
async fn what_it_costs() {
    use Method::{Insert, Load, Update};
    let site = Site::new(rotating());
    let browser = site.visited().await;
    site.time.advance(HOUR);
    let calls = || site.store.calls();
    let old = browser.clone();
    calls();
    site.request(&browser, |_| {}).await;
    assert_eq!(calls(), [Load, Insert, Update]);
    site.request(&old.clone(), |_| {}).await;
    assert_eq!(calls(), [Load, Load, Load]);
    site.request(&browser, |_| {}).await;
    assert_eq!(calls(), [Load, Update]);
    site.request(&browser, |_| {}).await;
    assert_eq!(calls(), [Load]);
    site.request(&old, |_| {}).await;
    assert_eq!(calls(), [Load, Load]);
    // A change and the note are one write.
    rotate(&site, &browser).await;
    calls();
    site.request(&browser, |session| session.insert("b", &1).unwrap())
        .await;
    assert_eq!(calls(), [Load, Update]);
}

#[tokio::test]
async fn without_the_setting_nothing_is_rotated_and_no_record_is_longer() {
    let sizes = async |settings| {
        let site = Site::new(settings);
        let browser = site.logged_in("ada").await;
        let before = browser.clone();
        site.request(&browser, Session::renew).await;
        for _ in 0..3 {
            site.time.advance(24 * HOUR);
            site.request(&browser, |_| {}).await;
        }
        assert_eq!(site.owner(&before).await, None);
        site.store.largest()
    };
    assert_eq!(sizes(signed()).await, sizes(signed()).await);
    assert!(sizes(signed()).await < sizes(rotating()).await);
}

#[tokio::test]
async fn a_rotation_under_way_when_the_setting_is_removed_is_completed() {
    let (site, browser, old) = rotated(rotating()).await;
    let site = site.with_settings(signed());
    let again = old.clone();
    assert!(site.request(&again, |_| {}).await.set_cookie.is_some());
    site.request(&browser, |_| {}).await;
    assert_eq!(site.request(&old, |_| {}).await.set_cookie, None);
    site.time.advance(30 * SECOND);
    assert!(!is_ada(&site, &old).await && is_ada(&site, &browser).await);
}

#[tokio::test]
async fn a_session_from_before_the_setting_is_rotated_too() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.time.advance(HOUR);
    let site = site.with_settings(rotating());
    assert!(site.request(&browser, |_| {}).await.set_cookie.is_some());
    // A renewed one counts from its renewal.
    site.request(&browser, Session::renew).await;
    assert_eq!(site.request(&browser, |_| {}).await.set_cookie, None);
    rotate(&site, &browser).await;
}

#[tokio::test]
async fn the_tombstone_is_kept_as_long_as_the_session_may_live() {
    let day = 24 * HOUR;
    // The browser keeps the old cookie.
    let rotating = || rotating().with_permanent(false);
    // Whatever the idle timeout is, with an absolute one.
    let settings = rotating()
        .with_idle_timeout(day)
        .with_absolute_timeout(10 * day);
    let (site, browser, old) = rotated(settings).await;
    for _ in 0..18 {
        site.time.advance(day / 2);
        site.store.sweep().await;
        site.request(&browser, |_| {}).await;
    }
    let (log, _guard) = Log::start();
    site.open(&old).await;
    assert_eq!(log.lines().len(), 1);
    // Without one, for an idle timeout.
    let (site, browser, old) = rotated(rotating().with_idle_timeout(day)).await;
    for (events, waits) in [(1, day / 2), (1, day / 2), (0, day / 2)] {
        site.request(&browser, |_| {}).await;
        site.time.advance(waits);
        site.store.sweep().await;
        site.open(&old).await;
        assert_eq!(log.lines().len(), events);
    }
}

#[tokio::test]
async fn ids_of_every_length_are_rotated_signed_or_not() {
    for bytes in [SessionId::MIN_BYTES, 32, 33, 64, SessionId::MAX_BYTES] {
        for settings in [signed(), Settings::unsigned()] {
            let settings = settings.with_rotation(HOUR).with_id_bytes(bytes);
            let (site, browser, old) = rotated(settings).await;
            let length = |browser: &Browser| browser.header("/").map(|it| it.len());
            assert_eq!(length(&browser), length(&old));
            let again = old.clone();
            site.request(&again, |_| {}).await;
            assert_eq!(again.header("/"), browser.header("/"));
        }
    }
}

#[tokio::test]
async fn a_stream_does_not_count_as_the_first_use_of_the_id_that_its_head_sent() {
    let site = Site::new(rotating());
    let browser = site.logged_in("ada").await;
    site.time.advance(HOUR);
    let old = browser.clone();
    let request = site.open(&browser).await;
    request.answer().await.unwrap();
    request.insert("a", &1).unwrap();
    assert_eq!(request.save().await.unwrap(), Saved::Stored);
    site.time.advance(HOUR);
    assert!(site.request(&old, |_| {}).await.set_cookie.is_some());
    assert_eq!(site.value(&old, "a").await, Some(1));
}

#[test]
fn a_period_that_cannot_be_kept_is_refused() {
    for (wrong, line) in [
        (
            signed().with_rotation(Duration::from_millis(999)),
            "SESSION_ROTATION_SECONDS must be 1 second to 100 years",
        ),
        (
            Settings::flask().with_rotation(HOUR),
            "SESSION_ROTATION_SECONDS is not for sessions that are shared with Flask, which knows no \
             tombstones; leave it unset",
        ),
    ] {
        assert_eq!(wrong.check().unwrap_err().to_string(), line);
    }
}

/// A user whose cookie was copied, then rotated, and who then proved again who they are. Returns
/// their browser and the copy.
async fn reauthenticated(settings: Settings) -> (Site, Browser, Browser) {
    let (site, browser, copy) = rotated(settings).await;
    site.request(&browser, |_| {}).await;
    site.time.advance(60 * SECOND);
    site.request(&browser, |session| session.reauthenticate().unwrap())
        .await;
    (site, browser, copy)
}

#[tokio::test]
async fn a_refused_id_is_a_security_event_although_the_user_reauthenticated_since() {
    for (after, events) in [(29, 0), (30, 1), (120, 1)] {
        let (site, browser, copy) = reauthenticated(rotating()).await;
        let (log, _guard) = Log::of_security_events();
        site.time.advance(after * SECOND);
        site.request(&copy, |_| {}).await;
        let lines = log.lines();
        let names_it = |it: &&String| it.contains("event=\"rotated_id\"");
        let found = lines.iter().filter(names_it).count();
        assert_eq!(found, events, "{after} s: {lines:?}");
        assert!(is_ada(&site, &browser).await);
    }
}

#[tokio::test]
async fn a_refused_id_ends_the_session_although_the_user_reauthenticated_since() {
    for (after, ends) in [(29, false), (30, true), (120, true)] {
        let settings = rotating().with_rotated_id_ending_session(true);
        let (site, browser, copy) = reauthenticated(settings).await;
        site.time.advance(after * SECOND);
        site.request(&copy, |_| {}).await;
        assert_eq!(is_ada(&site, &browser).await, !ends, "{after} s");
    }
}

/// A handler reads a slow upload, and then asks for its session.
#[tokio::test]
async fn what_counts_is_when_a_request_arrived_and_not_when_it_asks_for_its_session() {
    for ends in [false, true] {
        let site = Site::new(rotating().with_rotated_id_ending_session(ends));
        let browser = site.logged_in("ada").await;
        site.time.advance(HOUR);
        let (upload, old) = (site.sessions.begin_request(), browser.clone());
        // Meanwhile the user goes on in another tab.
        site.request(&browser, |_| {}).await;
        site.request(&browser, |_| {}).await;
        site.time.advance(30 * SECOND);
        let session = old.session(&upload).await.unwrap();
        assert_eq!(session.owner().as_deref(), Some("ada"));
        session.insert("upload", &1).unwrap();
        assert_eq!(session.save().await.unwrap(), Saved::Stored);
        assert_eq!(site.value(&browser, "upload").await, Some(1));
        assert!(is_ada(&site, &browser).await);
    }
}

#[tokio::test]
async fn a_log_out_everywhere_by_a_refused_id_says_that_nobody_is_logged_in() {
    let (site, browser, old) = rotated(rotating()).await;
    site.request(&browser, |_| {}).await;
    site.time.advance(120 * SECOND);
    let request = site.open(&old).await;
    assert_eq!(request.owner(), None);
    assert_eq!(request.log_out_everywhere(false).await.unwrap(), 0);
    assert!(is_ada(&site, &browser).await);
}
