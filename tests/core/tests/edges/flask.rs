//! Sessions in Flask's form, which has no tombstones and no index.

use std::time::Duration;

use session_core::{
    Error, Lineage, Session, Settings,
    config::{FlaskSessions, Refresh},
};

use crate::support::{Browser, Handler, Site, flask_cookie, keys, signed};

const DAY: Duration = Duration::from_secs(86_400);

fn flask_signed() -> Settings {
    Settings::flask()
        .with_keys(keys())
        .with_cookie(flask_cookie())
}

fn native(sessions: FlaskSessions) -> Settings {
    signed()
        .with_cookie(flask_cookie())
        .with_flask_sessions(sessions)
}

#[tokio::test]
async fn keeping_flasks_sessions_a_log_out_everywhere_ends_all_or_says_that_it_cannot_know() {
    let flask = Site::new(flask_signed());
    let browser = flask.browser();
    flask
        .request(&browser, |session| session.insert("basket", &1).unwrap())
        .await;
    let native = flask.with_settings(native(FlaskSessions::Keep));
    native
        .request(&browser, |session| session.log_in("ada").unwrap())
        .await;
    assert_eq!(native.owner(&browser).await.as_deref(), Some("ada"));
    says_that_it_cannot_know(&native, &browser).await;
}

#[tokio::test]
async fn moving_flasks_sessions_a_log_out_everywhere_ends_all_or_says_that_it_cannot_know() {
    let flask = Site::new(flask_signed());
    let browser = flask.logged_in("ada").await;
    let native = flask.with_settings(native(FlaskSessions::Move));
    assert_eq!(native.owner(&browser).await.as_deref(), Some("ada"));
    says_that_it_cannot_know(&native, &browser).await;
}

#[tokio::test]
async fn in_flasks_profile_a_log_out_everywhere_ends_all_or_says_that_it_cannot_know() {
    let site = Site::new(Settings::flask());
    let (one, two) = (site.logged_in("ada").await, site.logged_in("ada").await);
    says_that_it_cannot_know(&site, &one).await;
    assert_eq!(site.owner(&two).await.as_deref(), Some("ada"));
}

async fn says_that_it_cannot_know(site: &Site, browser: &Browser) {
    fn unknowable<T>(answer: &session_core::Result<T>) -> bool {
        matches!(answer, Err(Error::NoOwnerIndex))
    }
    assert!(unknowable(&site.sessions.owner_sessions("ada").await));
    assert!(unknowable(&site.sessions.log_out_everywhere("ada").await));
    let request = site.open(browser).await;
    let lineage = "AAAAAAAAAAAAAAAAAAAAAA".parse::<Lineage>().unwrap();
    assert!(unknowable(&request.owner_sessions().await));
    assert!(unknowable(&request.end_owner_session(&lineage).await));
    for keep in [false, true] {
        assert!(unknowable(&request.log_out_everywhere(keep).await));
    }
    request.answer().await.unwrap();
    assert_eq!(site.owner(browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn removing_the_last_key_loses_no_change_of_another_request() {
    let works: [Handler; 3] = [
        |session| {
            session.remove("a");
        },
        |session| drop(session.take::<i32>("a")),
        |session| {
            session.insert("c", &3).unwrap();
            session.remove("a");
            session.remove("c");
        },
    ];
    for work in works {
        let site = Site::new(Settings::flask().with_refresh(Refresh::OnChange));
        let browser = site.visited().await;
        let request = site.open(&browser).await;
        site.request(&browser, |session| session.insert("b", &2).unwrap())
            .await;
        work(&request);
        request.answer().await.unwrap();
        let left = site.open(&browser).await;
        assert_eq!(left.get("b").unwrap(), Some(2));
        assert!(!left.contains("a") && !left.contains("c"));
    }
}

#[tokio::test]
async fn removing_the_last_key_ends_the_session_that_was_loaded() {
    let site = Site::new(Settings::flask());
    let browser = site.visited().await;
    let stale = browser.clone();
    site.request(&browser, |session| {
        session.remove("a");
    })
    .await;
    assert_eq!(browser.header("/"), None);
    assert_eq!(site.value::<i32>(&stale, "a").await, None);
}

/// A session as Flask makes it, without a word of when.
async fn made_by_flask(settings: Settings) -> (Site, Browser) {
    let flask = Site::new(settings);
    let browser = flask.browser();
    flask
        .request(&browser, |session| {
            session.insert("_user_id", "ada").unwrap();
        })
        .await;
    (flask, browser)
}

#[tokio::test]
async fn the_absolute_timeout_of_a_session_that_flask_made_counts_from_its_first_load() {
    let reads: fn(&Session, u32) = |_, _| ();
    let changes: fn(&Session, u32) = |session, n| session.insert("n", &n).unwrap();
    for work in [changes, reads] {
        for refresh in [Refresh::OnChange, Refresh::WhenDue, Refresh::EveryRequest] {
            let (flask, browser) = made_by_flask(Settings::flask()).await;
            let here = Settings::flask()
                .with_absolute_timeout(4 * DAY)
                .with_idle_timeout(20 * DAY)
                .with_refresh(refresh);
            let here = flask.with_settings(here);
            for n in 0..8 {
                let request = here.open(&browser).await;
                assert!(request.contains("_user_id"), "request {n}, {refresh:?}");
                work(&request, n);
                request.answer().await.unwrap();
                here.time.advance(DAY / 2);
            }
            let request = here.open(&browser).await;
            assert!(!request.contains("_user_id"), "{refresh:?}");
        }
    }
}

#[tokio::test]
async fn the_absolute_timeout_also_ends_a_session_that_was_taken_over() {
    for sessions in [FlaskSessions::Keep, FlaskSessions::Move] {
        let (flask, browser) = made_by_flask(flask_signed()).await;
        let here = native(sessions)
            .with_absolute_timeout(4 * DAY)
            .with_idle_timeout(20 * DAY);
        let here = flask.with_settings(here);
        for n in 0..8 {
            let request = here.open(&browser).await;
            assert!(request.contains("_user_id"), "request {n}, {sessions:?}");
            request.insert("n", &n).unwrap();
            request.answer().await.unwrap();
            here.time.advance(DAY / 2);
        }
        let request = here.open(&browser).await;
        assert!(!request.contains("_user_id"), "{sessions:?}");
    }
}

#[tokio::test]
async fn in_flasks_profile_every_way_to_set_permanent_sends_the_cookie() {
    let ways: [Handler; 3] = [
        |session| session.set_permanent(true),
        |session| session.insert("_permanent", &true).unwrap(),
        |session| {
            session
                .update("_permanent", |_: Option<bool>| true)
                .unwrap();
        },
    ];
    for way in ways {
        let site = Site::new(Settings::flask().with_permanent(false));
        let browser = site.visited().await;
        assert_eq!(browser.cookie_end(), None);
        assert!(site.request(&browser, way).await.set_cookie.is_some());
        assert!(browser.cookie_end().is_some());
    }
}

#[tokio::test]
async fn in_flasks_profile_a_session_has_no_lineage_and_keeps_owner_lifetime_and_label() {
    let logs_in: Handler = |session| session.log_in("ada").unwrap();
    let nobody: Handler = |_| ();
    for (work, owner) in [(logs_in, Some("ada")), (nobody, None)] {
        let site = Site::new(Settings::flask());
        let browser = site.browser();
        site.request(&browser, |session| {
            work(session);
            session.insert("a", &1).unwrap();
            session.set_lifetime(Some(100 * DAY));
            session.set_label(Some("Firefox"));
        })
        .await;
        for _ in 0..3 {
            site.time.advance(50 * DAY);
            let request = site.open(&browser).await;
            assert_eq!(request.lineage(), None);
            assert_eq!(request.owner().as_deref(), owner);
            assert_eq!(request.label().as_deref(), Some("Firefox"));
            assert_eq!(request.get("a").unwrap(), Some(1));
            request.answer().await.unwrap();
            let end = Some(site.time.now() + 100 * DAY);
            assert_eq!(site.open(&browser).await.expires_at(), end);
            assert_eq!(browser.cookie_end(), end);
        }
    }
}

/// Ends all sessions of "ada" when Flask's are over, taken over or not, and the application has
/// stopped taking any over.
async fn log_out_everywhere_works_after(
    sessions: FlaskSessions,
    makes: Handler,
    takes_over: Handler,
) {
    let flask = Site::new(flask_signed());
    let browser = flask.browser();
    flask.request(&browser, makes).await;
    let both = flask.with_settings(native(sessions));
    both.request(&browser, takes_over).await;
    assert_eq!(both.owner(&browser).await.as_deref(), Some("ada"));
    both.logged_in("ada").await;
    both.time.advance(20 * DAY);
    let only = both.with_settings(native(FlaskSessions::Ignore));
    let fresh = only.logged_in("ada").await;
    only.sessions.log_out_everywhere("ada").await.unwrap();
    assert_eq!(only.owner(&fresh).await, None);
}

#[tokio::test]
async fn log_out_everywhere_works_after_flasks_sessions_were_taken_over() {
    let makes: Handler = |session| session.insert("basket", &1).unwrap();
    let makes_adas: Handler = |session| {
        session.insert("basket", &1).unwrap();
        session.log_in("ada").unwrap();
    };
    let logs_in: Handler = |session| {
        assert_eq!(session.get("basket").unwrap(), Some(1));
        session.log_in("ada").unwrap();
    };
    let reads: Handler = |session| {
        assert_eq!(session.owner().as_deref(), Some("ada"));
    };
    for sessions in [FlaskSessions::Keep, FlaskSessions::Move] {
        for (makes, takes_over) in [(makes, logs_in), (makes_adas, reads)] {
            log_out_everywhere_works_after(sessions, makes, takes_over).await;
        }
    }
}
