//! Streams, websockets and outer middleware: what a session can do after the response's head was
//! sent.

use std::time::Duration;

use session_core::{
    Error, Finish, Saved, Session, Settings,
    config::{FlaskSessions, Refresh},
};

use tokio::time::Instant;

use crate::support::{Browser, Handler, Log, Method, Site, flask_cookie, keys, signed};

const HOUR: Duration = Duration::from_secs(3600);

/// A session that is first asked for when the head was sent.
async fn open_late(site: &Site, browser: &Browser) -> Session {
    let request_session = site.sessions.begin_request();
    assert!(matches!(request_session.finish(), Finish::Ready(_)));
    browser.session(&request_session).await.unwrap()
}

#[tokio::test]
async fn a_session_first_opened_after_the_head_logs_nobody_out() {
    let works: [Handler; 3] = [
        Session::renew,
        |session| session.log_in("ada").unwrap(),
        |session| session.log_in("bob").unwrap(),
    ];
    for work in works {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let session = open_late(&site, &browser).await;
        site.store.calls();
        work(&session);
        let saved = session.save().await;
        assert!(matches!(saved, Err(Error::HeadSent)), "{saved:?}");
        assert_eq!(site.store.writes(), []);
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn a_first_session_after_the_head_is_not_stored_under_an_id_that_nobody_gets() {
    let site = Site::new(signed());
    for browser in [site.browser(), site.visited().await] {
        let gone = site.open(&browser).await;
        gone.log_out();
        gone.answer().await.unwrap();
        for work in [
            |session: &Session| session.insert("a", &1).unwrap(),
            |session: &Session| session.log_in("ada").unwrap(),
            |session: &Session| session.flash("info", "hello").unwrap(),
        ] {
            let session = open_late(&site, &browser).await;
            site.store.calls();
            work(&session);
            let saved = session.save().await;
            assert!(matches!(saved, Err(Error::HeadSent)), "{saved:?}");
            assert_eq!(site.store.writes(), []);
        }
    }
}

#[tokio::test]
async fn after_the_head_a_session_with_a_cookie_is_changed_and_ended_as_ever() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let session = open_late(&site, &browser).await;
    session.insert("exported", &true).unwrap();
    assert_eq!(session.save().await.unwrap(), Saved::Stored);
    assert_eq!(site.value(&browser, "exported").await, Some(true));
    session.log_out();
    let _ended = session.save().await.unwrap();
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn a_change_that_was_refused_after_the_head_does_not_spoil_the_next() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    request.answer().await.unwrap();
    request.renew();
    assert!(matches!(request.save().await, Err(Error::HeadSent)));
    request.insert("a", &1).unwrap();
    assert_eq!(request.save().await.unwrap(), Saved::Stored);
    assert_eq!(site.value(&browser, "a").await, Some(1));
}

/// A session of a Flask application, and the native application that takes it over.
async fn taken_over(sessions: FlaskSessions) -> (Site, Browser) {
    let flask = Site::new(
        Settings::flask()
            .with_keys(keys())
            .with_cookie(flask_cookie()),
    );
    let browser = flask.browser();
    flask
        .request(&browser, |session| {
            session.insert("_user_id", "ada").unwrap();
        })
        .await;
    let native = signed()
        .with_cookie(flask_cookie())
        .with_flask_sessions(sessions);
    (flask.with_settings(native), browser)
}

#[tokio::test]
async fn a_change_after_the_head_leaves_a_flask_session_where_its_browser_finds_it() {
    let (native, browser) = taken_over(FlaskSessions::Move).await;
    let request = native.open(&browser).await;
    assert_eq!(request.get::<String>("_user_id").unwrap().unwrap(), "ada");
    request.answer().await.unwrap();
    request.insert("exported", &true).unwrap();
    assert_eq!(request.save().await.unwrap(), Saved::Stored);
    let user: Option<String> = native.value(&browser, "_user_id").await;
    assert_eq!(user.as_deref(), Some("ada"));
    assert_eq!(native.value(&browser, "exported").await, Some(true));
}

#[tokio::test]
async fn what_needs_a_new_id_after_the_head_is_refused_for_a_flask_session() {
    for sessions in [FlaskSessions::Move, FlaskSessions::Keep] {
        let (native, browser) = taken_over(sessions).await;
        let session = open_late(&native, &browser).await;
        session.log_in("ada").unwrap();
        assert!(matches!(session.save().await, Err(Error::HeadSent)));
        let user: Option<String> = native.value(&browser, "_user_id").await;
        assert_eq!(user.as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn changes_after_the_last_save_are_named_in_the_log() {
    let works: [(&str, Handler); 4] = [
        ("changes=2", |session| {
            session.insert("a", &1).unwrap();
            session.insert("b", &2).unwrap();
        }),
        ("changes=1", |session| session.flash("info", "bye").unwrap()),
        ("changes=1", Session::renew),
        ("changes=1", Session::log_out),
    ];
    for (named, work) in works {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let (log, _guard) = Log::start();
        let request = site.open(&browser).await;
        request.answer().await.unwrap();
        work(&request);
        drop(request);
        let lines = log.lines();
        assert!(lines.len() == 1 && lines[0].contains(named), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_whose_save_was_dropped_for_good_are_named_in_the_log() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let (log, _guard) = Log::start();
    let request = site.open(&browser).await;
    request.answer().await.unwrap();
    request.insert("a", &1).unwrap();
    site.store.hold(&Method::WRITES);
    let saved = tokio::time::timeout(Duration::from_millis(20), request.save()).await;
    assert!(saved.is_err());
    drop(request);
    let lines = log.lines();
    assert!(
        lines.len() == 1 && lines[0].contains("changes=1"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn nothing_is_logged_when_everything_was_saved() {
    let site = Site::new(signed());
    let (log, _guard) = Log::start();
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| session.insert("a", &1).unwrap())
        .await;
    let request = site.open(&browser).await;
    request.answer().await.unwrap();
    request.insert("b", &2).unwrap();
    let _stored = request.save().await.unwrap();
    request.extend();
    let _extended = request.save().await.unwrap();
    drop(request);
    let request = site.open(&browser).await;
    request.log_out();
    request.answer().await.unwrap();
    drop(request);
    assert_eq!(log.lines(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn each_call_in_a_stream_has_the_whole_store_time() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    for method in Method::ALL {
        site.store.slow(method, Duration::from_millis(300));
    }
    let request = site.open(&browser).await;
    request.answer().await.unwrap();
    for event in 0..200 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        request.reload().await.unwrap();
        if event % 10 == 0 {
            request.insert("event", &event).unwrap();
            assert_eq!(request.save().await.unwrap(), Saved::Stored);
            request.extend();
            assert_eq!(request.save().await.unwrap(), Saved::Stored);
        }
    }
    assert_eq!(site.value(&browser, "event").await, Some(190));
}

#[tokio::test(start_paused = true)]
async fn each_work_on_a_users_sessions_in_a_stream_has_the_whole_time_for_it() {
    let limit = Duration::from_secs(5);
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    request.answer().await.unwrap();
    let lineage = request.lineage().unwrap();
    site.store.slow(Method::OwnedBy, limit * 9 / 10);
    for _ in 0..5 {
        assert_eq!(request.owner_sessions().await.unwrap().len(), 1);
        assert_eq!(request.log_out_everywhere(true).await.unwrap(), 0);
        let other = site.logged_in("ada").await;
        let others = site.open(&other).await.lineage().unwrap();
        assert!(request.end_owner_session(&others).await.unwrap());
        assert_eq!(request.lineage(), Some(lineage));
    }
    site.store.hold(&[Method::OwnedBy]);
    for _ in 0..3 {
        let begin = Instant::now();
        let listed = request.owner_sessions().await;
        assert!(matches!(listed, Err(Error::Timeout { .. })), "{listed:?}");
        assert!(begin.elapsed() <= limit, "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_stream_that_extends_keeps_its_session_for_days() {
    let site = Site::new(signed().with_idle_timeout(HOUR));
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    request.answer().await.unwrap();
    for _ in 0..72 {
        site.time.advance(HOUR / 2);
        site.store.sweep().await;
        request.extend();
        assert_eq!(request.save().await.unwrap(), Saved::Stored);
        request.reload().await.unwrap();
        assert_eq!(request.owner().as_deref(), Some("ada"));
        assert_eq!(request.expires_at(), Some(site.time.now() + HOUR));
        assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
    }
    // A session without a cookie gets an error.
    site.time.advance(2 * HOUR);
    assert!(request.reload().await.is_err());
    request.extend();
    assert!(request.save().await.is_err());
}

#[tokio::test]
async fn extending_before_the_head_moves_the_cookie_too() {
    for refresh in [
        Refresh::OnChange,
        Refresh::WhenDue,
        Refresh::EveryAccess,
        Refresh::EveryRequest,
    ] {
        let settings = signed().with_idle_timeout(HOUR).with_refresh(refresh);
        let site = Site::new(settings);
        let browser = site.logged_in("ada").await;
        for _ in 0..10 {
            site.time.advance(HOUR / 2);
            site.request(&browser, Session::extend).await;
            let end = Some(site.time.now() + HOUR);
            assert_eq!(browser.cookie_end(), end, "{refresh:?}");
            assert_eq!(site.open(&browser).await.expires_at(), end, "{refresh:?}");
        }
    }
}

#[tokio::test]
async fn extending_is_no_way_around_the_absolute_timeout() {
    let settings = signed()
        .with_idle_timeout(HOUR)
        .with_absolute_timeout(2 * HOUR);
    let site = Site::new(settings);
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    request.answer().await.unwrap();
    for _ in 0..3 {
        site.time.advance(HOUR / 2);
        request.extend();
        assert_eq!(request.save().await.unwrap(), Saved::Stored);
    }
    site.time.advance(HOUR / 2);
    request.extend();
    assert!(matches!(request.save().await, Err(Error::Expired)));
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn extending_what_ended_elsewhere_revives_nothing() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let request = site.open(&stale).await;
    request.answer().await.unwrap();
    site.request(&browser, Session::log_out).await;
    request.extend();
    assert_eq!(request.save().await.unwrap(), Saved::Ended);
    assert_eq!(site.owner(&stale).await, None);
}
