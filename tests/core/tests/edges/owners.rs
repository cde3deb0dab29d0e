//! A user's sessions: they are listed, and ended one by one or all at once.

use std::time::{Duration, Instant};

use session_core::{Error, KeyPrefix, OwnerIndex as _, Record, Session, StoreKey, config::Refresh};

use crate::support::{Browser, Failure, Handler, Method, Site, signed};

const MILLIS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);

async fn many(site: &Site, owner: &str, count: usize) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for _ in 0..count {
        browsers.push(site.logged_in(owner).await);
    }
    browsers
}

async fn logged_in_of(site: &Site, browsers: &[Browser]) -> usize {
    let mut count = 0;
    for browser in browsers {
        count += usize::from(site.owner(browser).await.is_some());
    }
    count
}

#[tokio::test]
async fn a_log_out_everywhere_with_an_id_that_was_just_renewed_ends_all_or_says_so() {
    for keep in [false, true] {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let stale = browser.clone();
        let other = site.logged_in("ada").await;
        site.request(&browser, Session::renew).await;
        // Sent beside the renewal.
        let request = site.open(&stale).await;
        let ended = request.log_out_everywhere(keep).await;
        let answered = request.answer().await;
        assert_eq!(ended.unwrap(), 2 - u64::from(keep));
        answered.unwrap();
        let left = site.owner(&browser).await;
        assert_eq!(left.is_some(), keep);
        assert_eq!(site.owner(&other).await, None);
    }
}

#[tokio::test]
async fn a_late_log_out_everywhere_ends_the_sessions_of_the_user_that_the_page_was_for() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let (adas, bobs) = (site.logged_in("ada").await, site.logged_in("bob").await);
    let lineage = site.open(&bobs).await.lineage().unwrap();
    // Somebody else logs in with the same browser.
    site.request(&browser, |session| session.log_in("bob").unwrap())
        .await;
    let request = site.open(&stale).await;
    assert!(!request.end_owner_session(&lineage).await.unwrap());
    assert_eq!(request.log_out_everywhere(true).await.unwrap(), 1);
    request.answer().await.unwrap();
    assert_eq!(site.owner(&adas).await, None);
    assert_eq!(site.owner(&bobs).await.as_deref(), Some("bob"));
    assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
}

#[tokio::test]
async fn what_became_another_users_is_neither_listed_nor_ended() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| session.log_in("bob").unwrap())
        .await;
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 0);
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 0);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
    assert_eq!(site.sessions.log_out_everywhere("bob").await.unwrap(), 1);
}

#[tokio::test]
async fn the_session_that_is_kept_is_the_one_of_the_request_whatever_it_did_before() {
    let works: [Handler; 4] = [
        |_| (),
        Session::renew,
        |session| session.log_in("ada").unwrap(),
        |session| session.insert("a", &1).unwrap(),
    ];
    for work in works {
        for saves in [true, false] {
            let site = Site::new(signed());
            let browsers = many(&site, "ada", 3).await;
            let request = site.open(&browsers[0]).await;
            work(&request);
            if saves {
                let _saved = request.save().await.unwrap();
            }
            assert_eq!(request.log_out_everywhere(true).await.unwrap(), 2);
            request.answer().await.unwrap();
            assert_eq!(logged_in_of(&site, &browsers).await, 1);
            assert_eq!(site.owner(&browsers[0]).await.as_deref(), Some("ada"));
        }
    }
    // A login that is not saved yet ends the others, and then is.
    let site = Site::new(signed());
    let before = site.logged_in("ada").await;
    let browser = site.browser();
    let request = site.open(&browser).await;
    request.log_in("ada").unwrap();
    assert_eq!(request.log_out_everywhere(true).await.unwrap(), 1);
    request.answer().await.unwrap();
    assert_eq!(site.owner(&before).await, None);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_session_with_a_longer_lifetime_of_its_own_is_named_as_long() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| session.set_lifetime(Some(300 * DAY)))
        .await;
    site.time.advance(299 * DAY);
    site.store.sweep().await;
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
    assert_eq!(site.owner(&browser).await, None);
    // And under a longer one of the application's, once it was used.
    let browser = site.logged_in("ada").await;
    let site = site.with_settings(signed().with_idle_timeout(300 * DAY));
    site.time.advance(20 * DAY);
    site.request(&browser, |_| ()).await;
    site.time.advance(299 * DAY);
    site.store.sweep().await;
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
}

#[tokio::test]
async fn a_log_out_everywhere_with_a_renewed_id_whose_successor_is_absent_is_an_error() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    site.request(&browser, Session::renew).await;
    site.store.evict(&site.store.last_key()).await;
    let request = site.open(&stale).await;
    let ended = request.log_out_everywhere(false).await;
    assert!(matches!(ended, Err(Error::Missing)), "{ended:?}");
}

#[tokio::test]
async fn ending_one_device_with_an_id_that_was_just_renewed_ends_it() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let other = site.logged_in("ada").await;
    let lineage = site.open(&other).await.lineage().unwrap();
    let stale = browser.clone();
    site.request(&browser, Session::renew).await;
    let request = site.open(&stale).await;
    assert!(request.end_owner_session(&lineage).await.unwrap());
    request.answer().await.unwrap();
    assert_eq!(site.owner(&other).await, None);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    // Its own, under the new id; what it changes itself is refused as ever.
    let lineage = site.open(&browser).await.lineage().unwrap();
    let request = site.open(&stale).await;
    request.insert("a", &1).unwrap();
    assert!(request.end_owner_session(&lineage).await.unwrap());
    assert!(matches!(request.answer().await, Err(Error::Conflict)));
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn a_session_that_ended_elsewhere_ends_no_others_and_says_so() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let other = site.logged_in("ada").await;
    let lineage = site.open(&other).await.lineage().unwrap();
    let stale = browser.clone();
    let request = site.open(&stale).await;
    site.request(&browser, Session::log_out).await;
    request.reload().await.unwrap();
    let ended = request.log_out_everywhere(false).await;
    assert!(matches!(ended, Err(Error::Conflict)), "{ended:?}");
    let ended = request.end_owner_session(&lineage).await;
    assert!(matches!(ended, Err(Error::Conflict)), "{ended:?}");
    assert_eq!(site.owner(&other).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn one_device_is_ended_and_no_other() {
    let site = Site::new(signed());
    let browsers = many(&site, "ada", 3).await;
    let strangers = site.logged_in("bob").await;
    let request = site.open(&browsers[0]).await;
    let lineage = site.open(&browsers[1]).await.lineage().unwrap();
    // It is renewed in the meantime: the lineage stays.
    site.request(&browsers[1], Session::renew).await;
    assert!(request.end_owner_session(&lineage).await.unwrap());
    assert!(!request.end_owner_session(&lineage).await.unwrap());
    let foreign = site.open(&strangers).await.lineage().unwrap();
    assert!(!request.end_owner_session(&foreign).await.unwrap());
    request.answer().await.unwrap();
    assert_eq!(logged_in_of(&site, &browsers).await, 2);
    assert_eq!(site.owner(&strangers).await.as_deref(), Some("bob"));
    // Its own.
    let request = site.open(&browsers[0]).await;
    let own = request.lineage().unwrap();
    assert!(request.end_owner_session(&own).await.unwrap());
    request.answer().await.unwrap();
    assert_eq!(site.owner(&browsers[0]).await, None);
    assert_eq!(logged_in_of(&site, &browsers).await, 1);
}

#[tokio::test]
async fn who_logs_in_and_out_for_ever_can_still_be_logged_out_everywhere() {
    const TIMES: usize = 20_000;
    let site = Site::new(signed());
    for _ in 0..TIMES {
        let browser = site.logged_in("ada").await;
        site.request(&browser, Session::log_out).await;
    }
    let live = many(&site, "ada", 3).await;
    let start = Instant::now();
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 3);
    assert!(start.elapsed() < Duration::from_secs(5));
    // When the tombstones' time is over, the index names the live ones alone, and one page holds
    // them.
    site.time.advance(Duration::from_secs(91));
    site.store.calls();
    let before = site.store.listed();
    let start = Instant::now();
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 3);
    assert!(start.elapsed() < Duration::from_millis(500));
    assert_eq!(site.store.calls(), [Method::OwnedBy]);
    assert!(site.store.listed() - before <= 3 * Record::HEAD);
    let start = Instant::now();
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 3);
    assert!(start.elapsed() < Duration::from_millis(500));
    assert_eq!(logged_in_of(&site, &live).await, 0);
}

#[tokio::test]
async fn a_log_out_takes_the_session_out_of_the_index_at_once() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let owner = KeyPrefix::default().owner_key("ada");
    let listed = async || site.store.owned_by(&owner, None, 10).await.unwrap().records;
    site.request(&browser, Session::renew).await;
    assert_eq!(
        listed().await.len(),
        2,
        "a forwarding tombstone is followed"
    );
    site.request(&browser, Session::log_out).await;
    assert_eq!(
        listed().await.len(),
        1,
        "behind that of an ended session there is none"
    );
}

#[tokio::test]
async fn who_renews_for_ever_has_one_session_on_one_page() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    for _ in 0..3_000 {
        site.request(&browser, Session::renew).await;
    }
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
    site.time.advance(Duration::from_secs(91));
    site.store.calls();
    let before = site.store.listed();
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
    assert_eq!(site.store.calls(), [Method::OwnedBy]);
    assert!(site.store.listed() - before <= Record::HEAD);
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn a_session_is_named_for_as_long_as_it_lives() {
    for refresh in [Refresh::OnChange, Refresh::WhenDue, Refresh::EveryAccess] {
        let site = Site::new(signed().with_refresh(refresh));
        let browser = site.logged_in("ada").await;
        for round in 0..300_u32 {
            site.time.advance(DAY * 3);
            site.store.sweep().await;
            site.request(&browser, |session| {
                if round % 3 == 0 {
                    session.insert("round", &round).unwrap();
                }
            })
            .await;
            let listed = site.sessions.owner_sessions("ada").await.unwrap();
            assert_eq!(listed.len(), 1, "{refresh:?}, round {round}");
            // And still shortly before it ends.
            let end = site.open(&browser).await.expires_at().unwrap();
            assert_eq!(listed[0].expires_at(), end);
        }
        assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
        assert_eq!(site.owner(&browser).await, None);
    }
}

#[tokio::test]
async fn a_session_that_ran_out_is_neither_listed_nor_ended() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.time.advance(31 * DAY);
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 0);
    site.sessions.log_out_everywhere("ada").await.unwrap();
    assert_eq!(site.owner(&browser).await, None);
    // Swept, it is no reason to fail either.
    let browser = site.logged_in("ada").await;
    site.time.advance(31 * DAY + Duration::from_secs(3600));
    site.store.sweep().await;
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 0);
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_log_out_everywhere_ends_many_at_once() {
    let site = Site::new(signed());
    let browsers = many(&site, "ada", 100).await;
    site.store.slow(Method::Update, 900 * MILLIS);
    let request = site.open(&browsers[99]).await;
    let begin = tokio::time::Instant::now();
    assert_eq!(request.log_out_everywhere(false).await.unwrap(), 100);
    assert!(begin.elapsed() < Duration::from_secs(2));
    request.answer().await.unwrap();
    assert_eq!(logged_in_of(&site, &browsers).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_sessions_take_a_fraction_of_a_thousand_calls() {
    let site = Site::new(signed());
    let browsers = many(&site, "ada", 1_000).await;
    for method in Method::ALL {
        site.store.slow(method, 5 * MILLIS);
    }
    let begin = tokio::time::Instant::now();
    assert_eq!(
        site.sessions.log_out_everywhere("ada").await.unwrap(),
        1_000
    );
    assert!(begin.elapsed() < Duration::from_millis(500));
    assert_eq!(logged_in_of(&site, &browsers).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_out_everywhere_has_an_end_and_says_what_it_did_not_reach() {
    for (methods, slow) in [
        (&[Method::OwnedBy][..], Duration::ZERO),
        (&[Method::Load], Duration::ZERO),
        (&[Method::Update], Duration::ZERO),
        (&[], Duration::from_secs(2)),
    ] {
        let site = Site::new(signed());
        let browsers = many(&site, "ada", 200).await;
        if slow.is_zero() {
            site.store.hold(methods);
        } else {
            for method in Method::ALL {
                site.store.slow(method, slow);
            }
        }
        let begin = tokio::time::Instant::now();
        let ended = site.sessions.log_out_everywhere("ada").await;
        assert!(begin.elapsed() <= Duration::from_secs(5), "{methods:?}");
        assert!(ended.is_err(), "{methods:?}: {ended:?}");
        // Called again when the store is well, it ends what is left.
        site.store.release();
        let site = if slow.is_zero() { site } else { continue };
        site.sessions.log_out_everywhere("ada").await.unwrap();
        assert_eq!(logged_in_of(&site, &browsers).await, 0);
    }
}

#[tokio::test]
async fn one_that_could_not_be_ended_is_an_error_and_the_others_are_ended() {
    for (method, failure) in [
        (Method::Load, Failure::Before),
        (Method::Update, Failure::Before),
    ] {
        for keep in [false, true] {
            let site = Site::new(signed());
            let browsers = many(&site, "ada", 50).await;
            let request = site.open(&browsers[0]).await;
            site.store.fail(method, failure);
            assert!(request.log_out_everywhere(keep).await.is_err());
            let left = logged_in_of(&site, &browsers).await;
            assert!(left <= 2, "{left} of 50 are left");
            request.log_out_everywhere(keep).await.unwrap();
            request.answer().await.unwrap();
            let left = logged_in_of(&site, &browsers).await;
            assert_eq!(left, usize::from(keep));
        }
    }
}

#[tokio::test]
async fn a_page_that_fails_is_an_error() {
    let site = Site::new(signed());
    let browsers = many(&site, "ada", 3).await;
    for failure in [Failure::Before, Failure::After] {
        site.store.fail(Method::OwnedBy, failure);
        assert!(site.sessions.owner_sessions("ada").await.is_err());
        site.store.fail(Method::OwnedBy, failure);
        assert!(site.sessions.log_out_everywhere("ada").await.is_err());
    }
    assert_eq!(logged_in_of(&site, &browsers).await, 3);
}

#[tokio::test]
async fn lists_load_no_payload() {
    const SESSIONS: usize = 1_200;
    let site = Site::new(signed());
    let large = "x".repeat(20_000);
    for _ in 0..SESSIONS {
        let browser = site.browser();
        site.request(&browser, |session| {
            session.log_in("ada").unwrap();
            session.set_label(Some("Firefox on Linux"));
            session.insert("large", &large).unwrap();
        })
        .await;
    }
    site.store.calls();
    let before = site.store.listed();
    let listed = site.sessions.owner_sessions("ada").await.unwrap();
    assert_eq!(listed.len(), SESSIONS);
    assert!(
        listed
            .iter()
            .all(|it| it.label() == Some("Firefox on Linux"))
    );
    assert!(listed.is_sorted_by_key(session_core::OwnedSession::created_at));
    assert_eq!(site.store.calls(), [Method::OwnedBy; 2]);
    assert!(site.store.listed() - before <= SESSIONS * Record::HEAD);
}

#[tokio::test]
async fn a_log_out_everywhere_ends_more_than_a_page() {
    let site = Site::new(signed());
    let browsers = many(&site, "ada", 2_500).await;
    let others = many(&site, "bob", 2).await;
    let request = site.open(&browsers[0]).await;
    assert_eq!(request.log_out_everywhere(true).await.unwrap(), 2_499);
    request.answer().await.unwrap();
    assert_eq!(logged_in_of(&site, &browsers).await, 1);
    assert_eq!(logged_in_of(&site, &others).await, 2);
}

#[tokio::test]
async fn a_log_out_everywhere_ends_a_renewal_beside_it() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    request.renew();
    request.insert("a", &1).unwrap();
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
    request.answer().await.unwrap();
    assert_eq!(site.owner(&browser).await, None);
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 0);
}

#[tokio::test]
async fn the_longest_name_and_label_fit_into_a_head() {
    let site = Site::new(signed());
    let owner = "ö".repeat(256);
    let browser = site.browser();
    site.request(&browser, |session| {
        session.log_in(&owner).unwrap();
        session.set_label(Some(&"ü".repeat(200)));
    })
    .await;
    let listed = site.sessions.owner_sessions(&owner).await.unwrap();
    assert_eq!(listed[0].label(), Some(&*"ü".repeat(128)));
    let refused = site.open(&browser).await.log_in(&format!("{owner}."));
    assert!(matches!(refused, Err(Error::OwnerTooLong { limit: 512 })));
    assert_eq!(site.sessions.log_out_everywhere(&owner).await.unwrap(), 1);
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn a_list_says_to_the_hour_when_each_session_was_last_seen_for_a_write_an_hour() {
    let site = Site::new(signed());
    let (browser, anonymous) = (site.logged_in("ada").await, site.browser());
    site.request(&anonymous, |session| session.insert("a", &1).unwrap())
        .await;
    site.store.calls();
    for _ in 0..6 * 24 {
        site.time.advance(Duration::from_secs(10 * 60));
        site.request(&browser, |session| drop(session.keys())).await;
        site.request(&anonymous, |session| drop(session.keys()))
            .await;
        let listed = site.sessions.owner_sessions("ada").await.unwrap();
        let seen = site
            .time
            .now()
            .duration_since(listed[0].last_seen().unwrap());
        assert!(seen.is_ok_and(|seen| seen <= Duration::from_secs(3600)));
    }
    let writes = site.store.writes().len();
    assert!((18..=24).contains(&writes), "{writes} writes in a day");
}

#[tokio::test]
async fn a_device_was_last_used_when_it_was_used() {
    let half_an_hour = Duration::from_secs(1800);
    for refresh in [Refresh::OnChange, Refresh::WhenDue, Refresh::EveryAccess] {
        let settings = signed()
            .with_refresh(refresh)
            .with_idle_timeout(2 * half_an_hour);
        let site = Site::new(settings);
        let browser = site.logged_in("ada").await;
        let mut last_change = site.time.now();
        for (pause, change) in [(half_an_hour, false), (half_an_hour / 2, true)] {
            site.time.advance(pause);
            let reads: Handler = |session| assert!(session.owner().is_some());
            let changes: Handler = |session| session.insert("a", &1).unwrap();
            site.request(&browser, if change { changes } else { reads })
                .await;
            if change {
                last_change = site.time.now();
            }
            let listed = site.sessions.owner_sessions("ada").await.unwrap();
            let used = listed[0].last_seen().unwrap();
            let ago = site.time.now().duration_since(used).unwrap();
            if refresh == Refresh::OnChange {
                assert_eq!(used, last_change);
            } else {
                assert!(ago <= half_an_hour / 5, "{refresh:?} {ago:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_work_on_a_users_sessions_before_the_head_shares_its_time() {
    let limit = Duration::from_secs(5);
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.store.slow(Method::OwnedBy, limit * 49 / 50);
    let begin = tokio::time::Instant::now();
    let request = site.open(&browser).await;
    assert_eq!(request.owner_sessions().await.unwrap().len(), 1);
    for _ in 0..3 {
        assert!(request.owner_sessions().await.is_err());
    }
    assert!(request.log_out_everywhere(false).await.is_err());
    request.answer().await.unwrap();
    assert!(
        begin.elapsed() < limit + 1200 * MILLIS,
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_renewed_between_two_pages_is_in_the_list_once() {
    // Where the new keys are in the order of the keys is chance.
    for _ in 0..50 {
        let site = Site::new(signed());
        let browsers = many(&site, "ada", 2).await;
        site.store.set_page(1);
        assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 2);
        site.store.slow(Method::OwnedBy, 10 * MILLIS);
        let renewals = async {
            tokio::time::sleep(15 * MILLIS).await;
            for browser in &browsers {
                site.request(browser, Session::renew).await;
            }
        };
        let (listed, ()) = tokio::join!(site.sessions.owner_sessions("ada"), renewals);
        assert_eq!(listed.unwrap().len(), 2);
        assert_eq!(logged_in_of(&site, &browsers).await, 2);
    }
}

#[tokio::test]
async fn a_list_needs_no_tombstone_of_a_renewed_session() {
    // Of a session that was renewed three times: the tombstone under its first, second or third
    // key.
    for evicted in 0..3 {
        let site = Site::new(signed());
        let browser = site.browser();
        let mut keys = Vec::new();
        site.request(&browser, |session| session.log_in("ada").unwrap())
            .await;
        let lineage = site.open(&browser).await.lineage().unwrap();
        for _ in 0..3 {
            keys.push(site.store.last_key());
            site.request(&browser, Session::renew).await;
        }
        site.store.evict(&keys[evicted]).await;
        let listed = site.sessions.owner_sessions("ada").await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].lineage(), &lineage);
        // What cannot be followed is an error, and the session is ended all the same.
        let ended = site.sessions.log_out_everywhere("ada").await;
        assert!(matches!(ended, Ok(1) | Err(Error::Missing)), "{ended:?}");
        assert_eq!(site.owner(&browser).await, None);
        assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 0);
    }
}

/// Logs out everywhere. The record of `key` vanishes between its listing and its load.
async fn everywhere_while_evicted(
    site: &Site,
    session: &Session,
    keep: bool,
    key: &StoreKey,
) -> session_core::Result<u64> {
    site.store.slow(Method::Load, 20 * MILLIS);
    let vanish = async {
        tokio::time::sleep(10 * MILLIS).await;
        site.store.evict(key).await;
    };
    tokio::join!(session.log_out_everywhere(keep), vanish).0
}

/// The copy of a session whose renewal lost to the log-out is deleted, after it was listed.
#[tokio::test(start_paused = true)]
async fn a_log_out_everywhere_beside_a_renewal_that_discards_its_copy_is_a_success() {
    for keep in [false, true] {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let other = site.logged_in("ada").await;
        // The renewed session has two live records until the first one forwards to the second.
        site.store.fail(Method::Update, Failure::Before);
        site.store.fail(Method::Update, Failure::Before);
        let renewed = if keep { &browser } else { &other };
        let request = site.open(renewed).await;
        request.renew();
        assert!(request.answer().await.is_err());
        let copy = site.store.last_key();
        let request = site.open(&browser).await;
        let ended = everywhere_while_evicted(&site, &request, keep, &copy).await;
        assert_eq!(ended.unwrap(), 2 - u64::from(keep));
        request.answer().await.unwrap();
        assert_eq!(site.owner(&other).await, None);
        assert_eq!(site.owner(&browser).await.is_some(), keep);
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_out_everywhere_that_misses_a_session_is_an_error() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let _other = site.logged_in("ada").await;
    let lost = site.store.last_key();
    let request = site.open(&browser).await;
    let ended = everywhere_while_evicted(&site, &request, false, &lost).await;
    assert!(matches!(ended, Err(Error::Missing)), "{ended:?}");
}

/// A renewal that failed leaves a second record.
async fn with_a_failed_renewal(site: &Site) -> Browser {
    let browser = site.logged_in("ada").await;
    for _ in 0..2 {
        site.store.fail(Method::Update, Failure::Before);
    }
    let request = site.open(&browser).await;
    request.renew();
    assert!(request.answer().await.is_err());
    browser
}

#[tokio::test]
async fn a_session_of_which_one_record_could_not_be_ended_is_an_error() {
    for failing in 0..4 {
        for method in [Method::Load, Method::Update] {
            let site = Site::new(signed());
            let browser = with_a_failed_renewal(&site).await;
            let list = site.sessions.owner_sessions("ada").await.unwrap();
            for _ in 0..failing {
                site.store.fail(method, Failure::Nothing);
            }
            site.store.fail(method, Failure::Before);
            let ended = site.sessions.end_owner_session("ada", list[0].lineage());
            let ended = ended.await;
            site.store.forget_failures();
            let lives = site.owner(&browser).await.is_some();
            assert_eq!(ended.is_err(), failing < 2, "{method:?} {failing}");
            assert!(ended.is_err() || !lives, "{method:?} {failing}");
        }
    }
}

#[tokio::test]
async fn a_session_that_a_failed_renewal_left_twice_counts_once() {
    let site = Site::new(signed());
    with_a_failed_renewal(&site).await;
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 0);
}
