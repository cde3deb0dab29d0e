//! A store that is down, slow or frozen.

use std::time::Duration;

use session_core::{
    Error, Finish, Lineage, Result, Session, Settings,
    config::{OnStoreFailure, Refresh},
};
use tokio::time::Instant;

use crate::support::{Answer, Failure, Handler, Method, Request, Site, Work, signed};

const BUDGET: Duration = Duration::from_secs(1);

fn lenient() -> Settings {
    signed().with_on_store_failure(OnStoreFailure::Anonymous)
}

#[tokio::test]
async fn without_a_store_an_anonymous_request_reads_on() {
    let site = Site::new(lenient());
    let browser = site.logged_in("ada").await;
    let before = browser.header("/");
    site.store.go_down(&Method::ALL);
    let result = site
        .request(&browser, |session| {
            assert_eq!(session.owner(), None);
            assert_eq!(session.get::<i32>("a").unwrap(), None);
            assert!(session.keys().is_empty());
            assert!(session.remove("a").is_none());
            assert_eq!(session.take_flashes().unwrap(), []);
        })
        .await;
    assert_eq!(result.set_cookie, None);
    site.store.come_up();
    assert_eq!(browser.header("/"), before);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn without_a_store_nothing_is_reported_as_changed_or_ended() {
    let works: [(&str, Handler); 9] = [
        ("insert", |session| session.insert("a", &1).unwrap()),
        ("update", |session| {
            session.update("a", |_: Option<i32>| 1).unwrap();
        }),
        ("flash", |session| session.flash("info", "hello").unwrap()),
        ("set_lifetime", |session| {
            session.set_lifetime(Some(BUDGET));
        }),
        ("set_permanent", |session| session.set_permanent(false)),
        ("renew", Session::renew),
        ("extend", Session::extend),
        ("clear", Session::clear),
        ("log_out", Session::log_out),
    ];
    for (name, work) in works {
        // The result is the same if the store is up again when the request is answered.
        for up_again in [false, true] {
            let site = Site::new(lenient());
            let browser = site.logged_in("ada").await;
            let before = browser.header("/");
            site.store.go_down(&Method::ALL);
            let request = site.open(&browser).await;
            work(&request);
            if up_again {
                site.store.come_up();
            }
            let saved = request.save().await;
            assert!(matches!(saved, Err(Error::NotLoaded)), "{name}: {saved:?}");
            let answered = request.answer().await;
            assert!(answered.is_err(), "{name}: {answered:?}");
            assert_eq!(browser.header("/"), before, "{name}");
            site.store.come_up();
            assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"), "{name}");
        }
    }
}

#[tokio::test]
async fn without_a_store_nobody_logs_in_and_nobody_is_logged_out_everywhere() {
    let site = Site::new(lenient());
    let browser = site.logged_in("ada").await;
    site.store.go_down(&Method::ALL);
    let request = site.open(&browser).await;
    site.store.come_up();
    assert!(matches!(request.log_in("ada"), Err(Error::NotLoaded)));
    for keep in [false, true] {
        let ended = request.log_out_everywhere(keep).await;
        assert!(matches!(ended, Err(Error::NotLoaded)), "{ended:?}");
    }
    let listed = request.owner_sessions().await;
    assert!(matches!(listed, Err(Error::NotLoaded)));
    let lineage = "AAAAAAAAAAAAAAAAAAAAAA".parse::<Lineage>().unwrap();
    let ended = request.end_owner_session(&lineage).await;
    assert!(matches!(ended, Err(Error::NotLoaded)));
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_store_that_fails_only_at_writing_makes_no_success() {
    let works: [Handler; 4] = [
        |session| session.insert("a", &1).unwrap(),
        |session| session.log_in("bob").unwrap(),
        Session::renew,
        Session::log_out,
    ];
    for settings in [signed(), lenient()] {
        for work in works {
            let site = Site::new(settings.clone());
            let browser = site.logged_in("ada").await;
            let request = site.open(&browser).await;
            site.store.go_down(&Method::WRITES);
            work(&request);
            assert!(request.answer().await.is_err());
            assert!(request.save().await.is_err(), "the result stays unknown");
            site.store.come_up();
            assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
        }
        let site = Site::new(settings);
        let browser = site.logged_in("ada").await;
        let request = site.open(&browser).await;
        site.store.go_down(&[Method::OwnedBy]);
        assert!(request.log_out_everywhere(false).await.is_err());
        assert!(request.owner_sessions().await.is_err());
        site.store.come_up();
        site.store.go_down(&[Method::Update]);
        assert!(request.log_out_everywhere(false).await.is_err());
    }
}

async fn answered_within(request: &Request<'_>, budget: Duration) -> Result<Answer> {
    let start = Instant::now();
    let answered = request.answer().await;
    assert!(start.elapsed() <= budget, "{:?}", start.elapsed());
    answered
}

#[tokio::test(start_paused = true)]
async fn a_frozen_store_costs_a_request_its_budget_once() {
    let site = Site::new(signed().with_refresh(Refresh::EveryRequest));
    let browser = site.logged_in("ada").await;
    site.store.hold(&Method::ALL);
    let begin = Instant::now();
    let request_session = site.sessions.begin_request();
    let header = browser.header("/").unwrap();
    // What an adapter does before a handler that does not use the session.
    let opened = request_session
        .open_untouched(&mut [header.as_bytes()].into_iter())
        .await;
    assert!(opened.is_err());
    assert!(begin.elapsed() <= BUDGET / 10, "{:?}", begin.elapsed());
    // And one that does.
    assert!(browser.session(&request_session).await.is_err());
    assert!(begin.elapsed() <= BUDGET + BUDGET / 10);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_does_not_use_the_session_waits_for_a_tenth_of_the_budget_at_its_end_too() {
    // Hundredths of the budget that a load and a write take.
    for (load, write) in [(9, 0), (6_000, 0), (9, 6_000)] {
        let site = Site::new(signed().with_refresh(Refresh::EveryRequest));
        let browser = site.logged_in("ada").await;
        let header = browser.header("/").unwrap();
        site.store.slow(Method::Load, BUDGET * load / 100);
        site.store.slow(Method::Update, BUDGET * write / 100);
        let request_session = site.sessions.begin_request();
        let begin = Instant::now();
        let _opened_or_not = request_session
            .open_untouched(&mut [header.as_bytes()].into_iter())
            .await;
        let result = match request_session.finish() {
            Finish::Ready(result) => result,
            Finish::Pending(saving) => saving.await.unwrap(),
        };
        let (took, refreshed) = (begin.elapsed(), result.set_cookie.is_some());
        assert!(took <= BUDGET / 5, "{load} {write}: {took:?}");
        assert_eq!(refreshed, took < BUDGET / 10, "{load} {write}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_freezes_while_the_request_runs_costs_what_is_left_of_its_budget() {
    for refresh in [Refresh::WhenDue, Refresh::EveryRequest] {
        let site = Site::new(signed().with_refresh(refresh));
        let browser = site.logged_in("ada").await;
        site.store.slow(Method::Load, BUDGET / 2);
        let request = site.open(&browser).await;
        request.insert("a", &1).unwrap();
        site.store.hold(&Method::WRITES);
        assert!(answered_within(&request, BUDGET / 2).await.is_err());
    }
    // A refresh fails no request, and takes no longer.
    let site = Site::new(signed().with_refresh(Refresh::EveryRequest));
    let browser = site.logged_in("ada").await;
    site.store.slow(Method::Load, BUDGET / 2);
    let request = site.open(&browser).await;
    site.store.hold(&Method::WRITES);
    let result = answered_within(&request, BUDGET / 2).await.unwrap();
    assert_eq!(result.set_cookie, None);
}

#[tokio::test(start_paused = true)]
async fn several_saves_before_the_head_share_one_budget() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    site.store.slow(Method::Update, BUDGET / 4);
    let start = Instant::now();
    let request = site.open(&browser).await;
    let mut failed = false;
    for n in 0..20 {
        request.insert("n", &n).unwrap();
        failed |= request.save().await.is_err();
    }
    assert!(failed);
    assert!(request.answer().await.is_err());
    assert!(start.elapsed() <= BUDGET, "{:?}", start.elapsed());
}

#[tokio::test]
async fn whatever_call_fails_a_success_was_one() {
    for settings in [signed(), Settings::flask()] {
        for work in Work::ALL {
            for method in Method::WRITES {
                for failures in [
                    &[Failure::Before][..],
                    &[Failure::After],
                    &[Failure::Before, Failure::Before],
                    &[Failure::Before, Failure::After],
                    &[Failure::After, Failure::Before],
                    &[Failure::After, Failure::After],
                ] {
                    let site = Site::new(settings.clone());
                    let browser = work.begin(&site).await;
                    let stale = browser.clone();
                    let request = site.open(&browser).await;
                    work.does(&request);
                    for failure in failures {
                        site.store.fail(method, *failure);
                    }
                    let answered = request.answer().await;
                    site.store.forget_failures();
                    if answered.is_ok() {
                        work.assert_done(&site, &browser, &stale).await;
                    } else {
                        assert!(request.save().await.is_err(), "the result stays unknown");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_once_is_done() {
    for failure in [Failure::Before, Failure::After] {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let before = browser.header("/");
        let request = site.open(&browser).await;
        request.renew();
        site.store.fail(Method::Update, failure);
        request.answer().await.unwrap();
        assert_ne!(browser.header("/"), before);
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
        assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_refresh_that_fails_fails_no_request_and_sends_no_cookie() {
    for failure in [Failure::Before, Failure::After] {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        site.time.advance(Settings::DEFAULT_IDLE_TIMEOUT / 2);
        let request = site.open(&browser).await;
        site.store.fail(Method::Update, failure);
        assert_eq!(request.answer().await.unwrap().set_cookie, None);
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    }
}
