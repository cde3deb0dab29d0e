//! How long a user stays logged in, by the ends of the record and of the cookie.

use std::time::Duration;

use session_core::{
    Finish, Saved, Session, Settings,
    config::{Assurance, Refresh},
};

use crate::support::{Browser, Method, Request, Site, signed};

const DAY: Duration = Duration::from_secs(86_400);
const REFRESHES: [Refresh; 4] = [
    Refresh::OnChange,
    Refresh::WhenDue,
    Refresh::EveryAccess,
    Refresh::EveryRequest,
];

/// A hundred lifetimes of a user who comes again after each `share` of one, and does `work`.
async fn stays(settings: Settings, lifetime: Duration, share: u32, work: fn(&Session, u32)) {
    let described = format!("{:?}, {lifetime:?}", settings.refresh());
    let site = Site::new(settings.with_idle_timeout(lifetime));
    let browser = site.browser();
    site.request(&browser, |session| session.log_in("ada").unwrap())
        .await;
    let pause = lifetime * share / 100;
    for round in 0..100 * 100 / share {
        site.time.advance(pause);
        site.store.sweep().await;
        let request = site.open(&browser).await;
        let owner = request.owner();
        assert_eq!(
            owner.as_deref(),
            Some("ada"),
            "round {round}, {described}, {browser:?}"
        );
        work(&request, round);
        request.answer().await.unwrap();
    }
    site.time.advance(lifetime + DAY);
    assert_eq!(site.owner(&browser).await, None, "{described}");
}

fn clicks(session: &Session, round: u32) {
    session.insert("click", &round).unwrap();
}

#[tokio::test]
async fn who_changes_something_often_stays_logged_in() {
    for refresh in REFRESHES {
        for permanent in [true, false] {
            for lifetime in [Settings::DEFAULT_IDLE_TIMEOUT, Duration::from_secs(10)] {
                let settings = signed().with_refresh(refresh).with_permanent(permanent);
                stays(settings, lifetime, 6, clicks).await;
            }
        }
    }
}

#[tokio::test]
async fn who_only_reads_stays_logged_in_where_use_moves_the_expiry() {
    for refresh in &REFRESHES[1..] {
        for permanent in [true, false] {
            for share in [3, 6, 11, 80] {
                let settings = signed().with_refresh(*refresh).with_permanent(permanent);
                stays(settings, Settings::DEFAULT_IDLE_TIMEOUT, share, |_, _| ()).await;
            }
        }
    }
}

#[tokio::test]
async fn who_reads_and_changes_by_turns_stays_logged_in() {
    for refresh in REFRESHES {
        for share in [3, 6, 30] {
            let settings = signed().with_refresh(refresh);
            let lifetime = Settings::DEFAULT_IDLE_TIMEOUT;
            stays(settings, lifetime, share, |session, round| {
                if round % 3 == 0 {
                    clicks(session, round);
                }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn who_uses_a_session_in_every_way_stays_logged_in() {
    for refresh in REFRESHES {
        stays(
            signed().with_refresh(refresh),
            Settings::DEFAULT_IDLE_TIMEOUT,
            6,
            |session, round| match round % 6 {
                0 => clicks(session, round),
                1 => drop(session.update("n", |n: Option<u32>| n.unwrap_or_default() + 1)),
                2 => session.flash("info", "hello").unwrap(),
                3 => drop(session.take_flashes()),
                4 => drop(session.remove("click")),
                _ => session.set_permanent(true),
            },
        )
        .await;
    }
}

#[tokio::test]
async fn who_only_requests_routes_without_a_session_stays_logged_in_at_every_request() {
    let site = Site::new(signed().with_refresh(Refresh::EveryRequest));
    let browser = site.logged_in("ada").await;
    for round in 0..1_667 {
        site.time.advance(Settings::DEFAULT_IDLE_TIMEOUT * 6 / 100);
        site.store.sweep().await;
        let header = browser.header("/").expect("the browser has the cookie");
        let visited = site.sessions.begin_request();
        visited
            .open_untouched(&mut [header.as_bytes()].into_iter())
            .await
            .unwrap();
        let Finish::Pending(refreshing) = visited.finish() else {
            panic!("round {round} is not refreshed");
        };
        browser.receive(&refreshing.await.unwrap());
    }
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn who_reads_pages_whose_streams_change_the_session_stays_logged_in() {
    for refresh in &REFRESHES[1..] {
        let site = Site::new(signed().with_refresh(*refresh));
        let browser = site.logged_in("ada").await;
        for round in 0..1_000 {
            site.time.advance(Settings::DEFAULT_IDLE_TIMEOUT * 6 / 100);
            let request = site.open(&browser).await;
            assert_eq!(
                request.owner().as_deref(),
                Some("ada"),
                "{refresh:?} {round}"
            );
            request.answer().await.unwrap();
            clicks(&request, round);
            assert_eq!(request.save().await.unwrap(), Saved::Stored);
        }
    }
}

#[tokio::test]
async fn who_sends_several_requests_at_once_stays_logged_in() {
    for refresh in REFRESHES {
        let site = Site::new(signed().with_refresh(refresh));
        let browser = site.logged_in("ada").await;
        for round in 0..500 {
            site.time.advance(Settings::DEFAULT_IDLE_TIMEOUT * 6 / 100);
            let requests = [
                site.open(&browser).await,
                site.open(&browser).await,
                site.open(&browser).await,
            ];
            for (place, request) in requests.iter().enumerate() {
                assert_eq!(
                    request.owner().as_deref(),
                    Some("ada"),
                    "{refresh:?} {round}"
                );
                if place != round % 3 || refresh == Refresh::OnChange {
                    request.insert(&place.to_string(), &round).unwrap();
                }
            }
            let answers = requests.each_ref().map(Request::answer);
            for answer in futures_util::future::join_all(answers).await {
                answer.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn who_saves_early_stays_logged_in() {
    for refresh in REFRESHES {
        let site = Site::new(signed().with_refresh(refresh));
        let browser = site.logged_in("ada").await;
        let pause = Settings::DEFAULT_IDLE_TIMEOUT * 6 / 100;
        for round in 0..1_000 {
            site.time.advance(pause);
            let request = site.open(&browser).await;
            assert_eq!(
                request.owner().as_deref(),
                Some("ada"),
                "{refresh:?} {round}"
            );
            clicks(&request, round);
            let _stored = request.save().await.unwrap();
            request.answer().await.unwrap();
        }
    }
}

#[tokio::test]
async fn in_flasks_profile_an_active_user_stays_logged_in() {
    for refresh in REFRESHES {
        for permanent in [true, false] {
            let settings = Settings::flask()
                .with_refresh(refresh)
                .with_permanent(permanent);
            let site = Site::new(settings);
            let browser = site.browser();
            site.request(&browser, |session| {
                session.insert("_user_id", "ada").unwrap();
            })
            .await;
            for round in 0..1_667 {
                site.time.advance(Settings::DEFAULT_IDLE_TIMEOUT * 6 / 100);
                site.store.sweep().await;
                let request = site.open(&browser).await;
                assert!(request.contains("_user_id"), "{refresh:?} {round}");
                clicks(&request, round);
                request.answer().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn on_change_every_change_that_moves_the_end_sends_the_cookie() {
    let site = Site::new(signed().with_refresh(Refresh::OnChange));
    let browser = site.logged_in("ada").await;
    for n in 0..100 {
        site.time.advance(Duration::from_secs(1));
        let outcome = site
            .request(&browser, |session| session.insert("n", &n).unwrap())
            .await;
        assert!(outcome.set_cookie.is_some());
        let end = site.time.now() + Settings::DEFAULT_IDLE_TIMEOUT;
        assert_eq!(browser.cookie_end(), Some(end));
    }
    // In the same second it would say the same.
    let outcome = site
        .request(&browser, |session| session.insert("n", &"last").unwrap())
        .await;
    assert_eq!(outcome.set_cookie, None);
    // And reading moves nothing.
    site.time.advance(DAY);
    site.store.calls();
    let outcome = site.request(&browser, |session| drop(session.keys())).await;
    assert_eq!(outcome.set_cookie, None);
    assert_eq!(site.store.writes(), []);
}

#[tokio::test]
async fn when_due_the_cookie_is_sent_about_ten_times_a_lifetime() {
    let site = Site::new(signed().with_last_seen(Settings::DEFAULT_IDLE_TIMEOUT));
    let browser = site.logged_in("ada").await;
    let (mut sent, mut written) = (0, 0);
    for _ in 0..1_000 {
        site.time.advance(Settings::DEFAULT_IDLE_TIMEOUT / 100);
        site.store.calls();
        let outcome = site.request(&browser, |session| drop(session.keys())).await;
        sent += usize::from(outcome.set_cookie.is_some());
        written += site.store.writes().len();
    }
    assert!((80..=100).contains(&sent), "{sent}");
    assert_eq!(written, sent);
}

#[tokio::test]
async fn an_idle_timeout_that_was_lowered_is_in_force_at_the_next_request() {
    for used_since in [true, false] {
        let before = Site::new(signed());
        let browser = before.logged_in("ada").await;
        let quarter = Duration::from_secs(900);
        let after = before.with_settings(signed().with_idle_timeout(quarter));
        if used_since {
            after
                .request(&browser, |session| {
                    assert_eq!(session.owner().as_deref(), Some("ada"));
                })
                .await;
        }
        after.time.advance(Duration::from_secs(899));
        assert_eq!(after.owner(&browser).await.as_deref(), Some("ada"));
        assert_eq!(after.sessions.owner_sessions("ada").await.unwrap().len(), 1);
        after.time.advance(Duration::from_secs(1));
        assert_eq!(after.owner(&browser).await, None);
        assert_eq!(after.sessions.owner_sessions("ada").await.unwrap().len(), 0);
        after.time.advance(30 * DAY);
        assert_eq!(after.owner(&browser).await, None);
    }
}

#[tokio::test]
async fn an_idle_timeout_that_was_raised_is_in_force_from_the_next_use() {
    let quarter = Duration::from_secs(900);
    let before = Site::new(signed().with_idle_timeout(quarter));
    let browser = before.logged_in("ada").await;
    let after = before.with_settings(signed());
    after.time.advance(quarter / 2);
    after
        .request(&browser, |session| drop(session.keys()))
        .await;
    after.time.advance(30 * DAY);
    assert_eq!(after.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn an_absolute_timeout_that_was_lowered_is_in_force_at_the_next_request() {
    let before = Site::new(signed().with_absolute_timeout(30 * DAY));
    let browser = before.logged_in("ada").await;
    let after = before.with_settings(signed().with_absolute_timeout(DAY));
    after.time.advance(Duration::from_secs(86_399));
    assert_eq!(after.owner(&browser).await.as_deref(), Some("ada"));
    after.time.advance(Duration::from_secs(1));
    assert_eq!(after.owner(&browser).await, None);
}

#[tokio::test]
async fn a_lifetime_of_its_own_moves_record_and_cookie_up_and_down() {
    for refresh in REFRESHES {
        let site = Site::new(signed().with_refresh(refresh));
        let browser = site.logged_in("ada").await;
        for days in [1, 300, 7, 31, 2] {
            site.request(&browser, |session| session.set_lifetime(Some(days * DAY)))
                .await;
            let end = Some(site.time.now() + days * DAY);
            assert_eq!(site.open(&browser).await.expires_at(), end);
            assert_eq!(browser.cookie_end(), end, "{refresh:?}, {days} days");
        }
        site.time.advance(2 * DAY);
        assert_eq!(site.owner(&browser).await, None);
    }
}

#[tokio::test]
async fn a_lifetime_of_its_own_holds_for_the_requests_that_follow() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| session.set_lifetime(Some(100 * DAY)))
        .await;
    for _ in 0..20 {
        site.time.advance(90 * DAY);
        site.request(&browser, |session| {
            assert_eq!(session.owner().as_deref(), Some("ada"));
        })
        .await;
    }
    // The application's again.
    site.request(&browser, |session| session.set_lifetime(None))
        .await;
    site.time.advance(32 * DAY);
    assert_eq!(site.owner(&browser).await, None);
}

async fn daily(work: fn(&Session, u32)) {
    let years = Duration::from_secs(20 * 365 * 86_400);
    let site = Site::new(signed().with_idle_timeout(years));
    let browser = site.logged_in("ada").await;
    let mut sent = 0;
    for day in 0..1_200 {
        site.time.advance(DAY);
        let request = site.open(&browser).await;
        assert_eq!(request.owner().as_deref(), Some("ada"), "day {day}");
        work(&request, day);
        sent += u32::from(request.answer().await.unwrap().set_cookie.is_some());
    }
    assert!(sent < 60, "{sent} in 1,200 days");
}

#[tokio::test]
async fn a_daily_user_keeps_the_cookie_of_a_session_that_outlives_it() {
    daily(|_, _| ()).await;
    daily(clicks).await;
}

#[tokio::test]
async fn the_absolute_timeout_ends_a_session_whatever_its_use() {
    for refresh in REFRESHES {
        let settings = signed()
            .with_refresh(refresh)
            .with_idle_timeout(DAY)
            .with_absolute_timeout(7 * DAY);
        let site = Site::new(settings);
        let browser = site.logged_in("ada").await;
        for round in 0..13 {
            site.time.advance(DAY / 2);
            let request = site.open(&browser).await;
            assert_eq!(request.owner().as_deref(), Some("ada"));
            clicks(&request, round);
            if round % 4 == 0 {
                request.renew();
            }
            request.answer().await.unwrap();
        }
        site.time.advance(DAY / 2);
        let stale: Browser = browser.clone();
        assert_eq!(browser.header("/"), None, "the cookie ends with it");
        assert_eq!(site.owner(&stale).await, None);
    }
}

#[tokio::test]
async fn a_session_whose_end_is_the_absolute_one_lives_until_then() {
    const MINUTE: Duration = Duration::from_secs(60);
    for refresh in &REFRESHES[1..] {
        for permanent in [true, false] {
            let settings = signed()
                .with_refresh(*refresh)
                .with_permanent(permanent)
                .with_idle_timeout(45 * MINUTE)
                .with_absolute_timeout(60 * MINUTE);
            let site = Site::new(settings);
            let browser = site.logged_in("ada").await;
            let mut sent = 0;
            // At the second round the end can be moved by less than a tenth, from minute 56 to 60,
            // and never again.
            for pause in [11, 29, 1, 16, 2] {
                site.time.advance(pause * MINUTE);
                site.store.sweep().await;
                assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
                let outcome = site.request(&browser, |_| ()).await;
                sent += usize::from(outcome.set_cookie.is_some());
            }
            if *refresh == Refresh::WhenDue {
                assert_eq!(sent, if permanent { 2 } else { 0 });
            }
            site.time.advance(MINUTE);
            assert_eq!(site.owner(&browser).await, None);
        }
    }
}

#[tokio::test]
async fn judging_a_session_expired_writes_nothing() {
    let site = Site::new(signed().with_permanent(false));
    let browser = site.logged_in("ada").await;
    site.time.advance(32 * DAY);
    site.store.calls();
    site.request(&browser, |session| assert!(session.keys().is_empty()))
        .await;
    assert_eq!(site.store.calls(), [Method::Load]);
}

#[tokio::test]
async fn a_lifetime_of_its_own_counts_up_to_the_assurance_level() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| session.set_lifetime(Some(DAY * 30)))
        .await;
    // The level is raised, and applies to this session at once.
    let site = site.with_settings(signed().with_assurance(Assurance::Aal2));
    let minute = Duration::from_secs(60);
    for _ in 0..10 {
        site.time.advance(59 * minute);
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
        site.request(&browser, |session| session.set_lifetime(Some(DAY * 300)))
            .await;
    }
    site.time.advance(60 * minute);
    assert_eq!(site.owner(&browser).await, None);
}
