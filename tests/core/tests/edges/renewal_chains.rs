//! Many renewals of one session in a short time: its forwarding tombstones are all in the owner's
//! index.

use session_core::{Lineage, Session};

use crate::support::{Browser, Site, signed};

async fn renewed(times: usize) -> (Site, Browser) {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    for _ in 0..times {
        site.request(&browser, Session::renew).await;
    }
    site.store.calls();
    (site, browser)
}

#[tokio::test]
async fn a_log_out_everywhere_does_not_follow_each_of_them_to_the_end() {
    for times in [10, 100] {
        let (site, browser) = renewed(times).await;
        assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
        // A page, the live record, and its end.
        assert_eq!(site.store.calls().len(), 3);
        assert_eq!(site.owner(&browser).await, None);
    }
}

#[tokio::test]
async fn the_end_of_one_session_does_not_follow_each_of_them_to_the_end() {
    let (site, browser) = renewed(100).await;
    let lineage: Lineage = site.open(&browser).await.lineage().unwrap();
    let other = site.logged_in("ada").await;
    let request = site.open(&other).await;
    site.store.calls();
    assert!(request.end_owner_session(&lineage).await.unwrap());
    assert_eq!(site.store.calls().len(), 3);
    assert_eq!(site.owner(&browser).await, None);
    assert_eq!(site.owner(&other).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_session_renewed_while_the_pages_are_read_is_ended_once() {
    let (site, browser) = renewed(5).await;
    // The last records of the chain may be in any page.
    site.store.set_page(1);
    let sessions = site.sessions.clone();
    let ends = sessions.log_out_everywhere("ada");
    let renews = site.request(&browser, Session::renew);
    let (ended, _answer) = tokio::join!(ends, renews);
    assert_eq!(ended.unwrap(), 1);
    assert_eq!(site.owner(&browser).await, None);
}
