//! Handlers that are dropped before their end, as when the connection is reset, and streams that
//! are dropped.

use std::time::Duration;

use session_core::{BackgroundSave, Error, Session};
use tokio::time::timeout;

use crate::support::{Browser, Failure, Handler, Log, Method, Site, When, Work, signed};

const MOMENT: Duration = Duration::from_millis(20);

/// What an adapter does with a save under way.
fn spawn(rest: BackgroundSave) {
    tokio::spawn(async move {
        if let Err(error) = rest.await {
            tracing::warn!(%error, "the rest failed");
        }
    });
}

async fn open(site: &Site, browser: &Browser) -> Session {
    let request_session = site.sessions.begin_request_with(spawn);
    browser.session(&request_session).await.unwrap()
}

/// Lets everything that was spawned come to its end.
async fn release(site: &Site) {
    site.store.release();
    tokio::time::sleep(MOMENT).await;
}

#[tokio::test(start_paused = true)]
async fn a_save_that_was_begun_continues_from_every_call() {
    let works = [
        Work::Insert,
        Work::Renew,
        Work::LogIn,
        Work::LogOut,
        Work::Replace,
    ];
    for work in works {
        for when in [When::Before, When::After] {
            for calls in 0..3 {
                let site = Site::new(signed());
                let browser = work.begin(&site).await;
                let session = open(&site, &browser).await;
                work.does(&session);
                site.store.hold_from(calls, when);
                let _dropped_or_not = timeout(MOMENT, session.save()).await;
                drop(session);
                release(&site).await;
                let left: Option<i32> = site.value(&browser, "a").await;
                if matches!(work, Work::Insert) {
                    work.assert_done(&site, &browser, &browser).await;
                } else {
                    assert_eq!(left, None, "{work:?} {when:?} {calls}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_out_is_carried_out_and_what_else_no_save_had_begun_is_counted() {
    let works: [(usize, bool, Handler); 5] = [
        (0, true, Session::log_out),
        (1, true, |session| Work::Replace.does(session)),
        (1, false, |session| Work::Insert.does(session)),
        (1, false, Session::renew),
        (1, false, |session| Work::LogIn.does(session)),
    ];
    for (lost, ends, work) in works {
        let site = Site::new(signed());
        let browser = site.visited().await;
        let (log, _guard) = Log::start();
        let session = open(&site, &browser).await;
        work(&session);
        drop(session);
        release(&site).await;
        let lines = log.lines();
        assert_eq!(lines.len(), lost, "{lines:?}");
        assert!(
            lines
                .iter()
                .all(|line| line.contains("disconnected") && line.contains("changes=1")),
            "{lines:?}"
        );
        let left: Option<i32> = site.value(&browser, "a").await;
        assert_eq!(left, (!ends).then_some(1));
        assert_eq!(site.value::<i32>(&browser, "b").await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_out_beside_a_save_under_way_is_carried_out_after_it() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let session = open(&site, &browser).await;
    session.insert("b", &2).unwrap();
    site.store.hold(&Method::WRITES);
    assert!(timeout(MOMENT, session.save()).await.is_err());
    session.log_out();
    drop(session);
    release(&site).await;
    assert!(site.open(&browser).await.is_new());
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_fails_says_so() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let (log, _guard) = Log::start();
    let session = open(&site, &browser).await;
    session.insert("b", &2).unwrap();
    site.store.fail(Method::Update, Failure::Before);
    site.store.hold(&Method::WRITES);
    assert!(timeout(MOMENT, session.save()).await.is_err());
    drop(session);
    release(&site).await;
    let lines = log.lines();
    assert!(
        lines.len() == 1 && lines[0].contains("the rest failed"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_save_in_a_stream_continues() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let request_session = site.sessions.begin_request_with(spawn);
    let session = browser.session(&request_session).await.unwrap();
    drop(request_session.finish());
    drop(request_session);
    session.insert("b", &2).unwrap();
    site.store.hold(&Method::WRITES);
    assert!(timeout(MOMENT, session.save()).await.is_err());
    drop(session);
    release(&site).await;
    assert_eq!(site.value(&browser, "b").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_finishes_the_rest_it_is_counted_too() {
    let works: [Handler; 2] = [Session::log_out, |session| Work::Insert.does(session)];
    for work in works {
        for saves in [false, true] {
            let site = Site::new(signed());
            let browser = site.visited().await;
            let (log, _guard) = Log::start();
            let request = site.open(&browser).await;
            work(&request);
            site.store.hold(&Method::WRITES);
            if saves {
                assert!(timeout(MOMENT, request.save()).await.is_err());
            }
            drop(request);
            let lines = log.lines();
            assert!(
                lines.len() == 1 && lines[0].contains("changes=1"),
                "{saves} {lines:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_reported_or_nobody_expects_is_not_counted() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let (log, _guard) = Log::start();
    // A request that failed.
    let request = site.open(&browser).await;
    request.insert("a", &1).unwrap();
    site.store.fail(Method::Update, Failure::Before);
    assert!(request.answer().await.is_err());
    drop(request);
    // A save that failed, and then the handler was dropped.
    let session = open(&site, &browser).await;
    session.insert("a", &1).unwrap();
    site.store.fail(Method::Update, Failure::Before);
    assert!(matches!(session.save().await, Err(Error::Backend { .. })));
    drop(session);
    // A request that only loaded the session, and one that only read it.
    site.store.hold(&Method::ALL);
    assert!(timeout(MOMENT, open(&site, &browser)).await.is_err());
    site.store.release();
    drop(open(&site, &browser).await);
    // A session of a test, and an administrator's work.
    Session::in_memory().insert("a", &1).unwrap();
    site.store.hold(&Method::WRITES);
    let ends = site.sessions.log_out_everywhere("ada");
    assert!(timeout(MOMENT, ends).await.is_err());
    release(&site).await;
    assert_eq!(log.lines(), Vec::<String>::new());
}

/// As when the handler has spawned a task that keeps the session.
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_cut_off_ends_its_request_although_a_task_keeps_the_session() {
    for saved in [false, true] {
        for ends in [false, true] {
            let site = Site::new(signed());
            let browser = site.logged_in("ada").await;
            let request_session = site.sessions.begin_request_with(spawn);
            let session = browser.session(&request_session).await.unwrap();
            let kept = session.clone();
            if ends {
                session.log_out();
            } else {
                session.insert("a", &2).unwrap();
            }
            if saved {
                site.store.hold_from(0, When::Before);
                let _dropped = timeout(MOMENT, session.save()).await;
            }
            drop(session);
            request_session.cut_off();
            release(&site).await;
            assert_eq!(site.owner(&browser).await.is_none(), ends);
            let stored: Option<i32> = site.value(&browser, "a").await;
            assert_eq!(stored, (saved && !ends).then_some(2));
            if !ends {
                // The head that would carry a new id is never sent.
                kept.renew();
                assert!(matches!(kept.save().await, Err(Error::HeadSent)));
                assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
            }
        }
    }
}
