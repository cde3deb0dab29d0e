//! Sessions that have expired by the clock of one process, and not by that of another.

use std::time::Duration;

use session_core::{Error, Session, Settings};

use crate::support::{Browser, Method, Site, signed};

const IDLE: Duration = Duration::from_secs(1800);

/// How fast the clock of the second process is: far less than a tenth of the idle timeout.
const FAST: Duration = Duration::from_secs(5);

/// Sessions whose cookies have no end, so that a browser still sends the id of one whose time is
/// over.
fn short() -> Settings {
    signed().with_permanent(false).with_idle_timeout(IDLE)
}

/// Shortly before a session is over that was not used since.
const NEARLY: Duration = Duration::from_secs(1798);

/// A session that is over in two seconds, and by the second process's clock is over already.
async fn nearly_over() -> (Site, Site, Browser) {
    let site = Site::new(short());
    let fast = site.fast(short(), FAST);
    let browser = site.logged_in("ada").await;
    site.time.advance(NEARLY);
    (site, fast, browser)
}

/// The session stays over, however long it is used.
async fn assert_over(site: &Site, browser: &Browser) {
    for _ in 0..3 {
        assert_eq!(site.owner(browser).await, None);
        site.request(browser, |session| assert!(session.keys().is_empty()))
            .await;
        site.time.advance(IDLE / 2);
    }
}

#[tokio::test]
async fn a_log_out_is_one_on_every_process_though_their_clocks_differ() {
    let (site, fast, browser) = nearly_over().await;
    fast.request(&browser.clone(), Session::log_out).await;
    assert_over(&site, &browser).await;
}

#[tokio::test]
async fn a_log_out_with_an_expired_id_that_cannot_be_stored_is_an_error_and_keeps_the_cookie() {
    for methods in [&[Method::Load][..], &[Method::Update], &Method::ALL] {
        let (site, fast, browser) = nearly_over().await;
        let before = browser.header("/");
        let request = fast.open(&browser).await;
        assert_eq!(request.owner(), None);
        request.log_out();
        site.store.go_down(methods);
        let answered = request.answer().await;
        assert!(
            matches!(answered, Err(Error::Backend { .. })),
            "{answered:?}"
        );
        assert_eq!(browser.header("/"), before);
        site.store.come_up();
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
        // Tried again, it is done.
        let stale = browser.clone();
        fast.request(&browser, Session::log_out).await;
        assert_eq!(browser.header("/"), None);
        assert_over(&site, &stale).await;
    }
}

#[tokio::test]
async fn a_log_out_ends_the_live_session_and_the_expired_one_whose_id_came_first() {
    let (site, fast, expired) = nearly_over().await;
    let live = site.logged_in("ada").await;
    let both = expired.clone();
    both.add(&live);
    let request = fast.open(&both).await;
    assert_eq!(request.owner().as_deref(), Some("ada"));
    request.log_out();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&live).await, None);
    assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 0);
    assert_over(&site, &expired).await;
}

#[tokio::test]
async fn a_request_with_an_expired_id_cannot_end_a_users_sessions_and_gets_an_error() {
    let (site, fast, browser) = nearly_over().await;
    let other = site.logged_in("ada").await;
    let lineage = site.open(&other).await.lineage().unwrap();
    let request = fast.open(&browser).await;
    for keep in [false, true] {
        let ended = request.log_out_everywhere(keep).await;
        assert!(matches!(ended, Err(Error::Expired)), "{ended:?}");
    }
    let ended = request.end_owner_session(&lineage).await;
    assert!(matches!(ended, Err(Error::Expired)), "{ended:?}");
    assert_eq!(site.owner(&other).await.as_deref(), Some("ada"));
    // Whoever logs in with the same request can.
    request.log_in("ada").unwrap();
    assert!(request.end_owner_session(&lineage).await.unwrap());
    assert_eq!(site.owner(&other).await, None);
}
