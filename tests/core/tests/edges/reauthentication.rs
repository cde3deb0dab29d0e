//! A user who proves again who they are: a login of the same user.

use std::time::Duration;

use session_core::{Error, Saved, Session};

use crate::support::{Site, signed};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn it_renews_the_id_keeps_the_data_and_is_remembered() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| session.insert("a", &1).unwrap())
        .await;
    let login = site.open(&browser).await.authenticated_at().unwrap();
    let before = browser.clone();
    site.time.advance(11 * MINUTE);
    site.request(&browser, |session| {
        assert!(session.require_login_within(11 * MINUTE).is_ok());
        let refused = session.require_login_within(10 * MINUTE);
        assert!(matches!(refused, Err(Error::LoginNeeded)));
        session.reauthenticate().unwrap();
        assert!(session.require_login_within(Duration::ZERO).is_ok());
    })
    .await;
    let session = site.open(&browser).await;
    assert_eq!(session.authenticated_at(), Some(login + 11 * MINUTE));
    assert_eq!(session.owner().as_deref(), Some("ada"));
    assert_eq!(session.get::<u8>("a").unwrap(), Some(1));
    assert_eq!(site.owner(&before).await, None);
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 1);
}

#[tokio::test]
async fn use_and_renewal_do_not_count_as_one() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let login = site.open(&browser).await.authenticated_at();
    for work in [Session::renew, Session::extend, Session::clear] {
        site.time.advance(MINUTE);
        site.request(&browser, work).await;
        assert_eq!(site.open(&browser).await.authenticated_at(), login);
    }
}

#[tokio::test]
async fn the_absolute_timeout_starts_again() {
    let site = Site::new(signed().with_absolute_timeout(10 * MINUTE));
    let browser = site.logged_in("ada").await;
    site.time.advance(9 * MINUTE);
    site.request(&browser, |session| session.reauthenticate().unwrap())
        .await;
    site.time.advance(9 * MINUTE);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    site.time.advance(MINUTE);
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn who_is_not_logged_in_cannot() {
    let site = Site::new(signed());
    let nobody = site.visited().await;
    let logged_out = site.logged_in("ada").await;
    let renewed = site.logged_in("ada").await;
    let late = renewed.clone();
    site.request(&logged_out, Session::log_out).await;
    site.request(&renewed, Session::renew).await;
    for browser in [&nobody, &logged_out, &late] {
        let session = site.open(browser).await;
        assert_eq!(session.authenticated_at(), None);
        for refused in [
            session.reauthenticate(),
            session.require_login_within(1000 * MINUTE),
        ] {
            assert!(matches!(refused, Err(Error::LoginNeeded)), "{browser:?}");
        }
        session.answer().await.unwrap();
    }
    assert_eq!(site.owner(&renewed).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn it_does_not_bring_back_a_session_that_was_logged_out_meanwhile() {
    for saves in [false, true] {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let beside = browser.clone();
        let request = site.open(&beside).await;
        site.request(&browser, Session::log_out).await;
        request.reauthenticate().unwrap();
        let answer = if saves {
            request.save().await.map(|saved| saved == Saved::Ended)
        } else {
            request.answer().await.map(|_| false)
        };
        assert!(matches!(answer, Err(Error::Conflict)), "{answer:?}");
        assert_eq!(site.owner(&beside).await, None);
        assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_login_from_the_future_is_one_of_now() {
    let site = Site::new(signed());
    let fast = site.fast(signed(), 5 * MINUTE);
    let browser = fast.logged_in("ada").await;
    let session = site.open(&browser).await;
    assert!(session.require_login_within(Duration::ZERO).is_ok());
}
