//! Ways to use a session, and how their effect is visible.

use session_core::Session;

use super::{Browser, Site};

/// What a request does, and how its effect is visible.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// The first session of a browser.
    First,
    Insert,
    Renew,
    LogIn,
    LogOut,
    /// Ends the session, and begins another.
    Replace,
}

impl Work {
    pub(crate) const ALL: [Self; 6] = [
        Self::First,
        Self::Insert,
        Self::Renew,
        Self::LogIn,
        Self::LogOut,
        Self::Replace,
    ];

    /// The browser that the request comes from.
    pub(crate) async fn begin(self, site: &Site) -> Browser {
        match self {
            Self::First => site.browser(),
            _ => site.visited().await,
        }
    }

    pub(crate) fn does(self, session: &Session) {
        match self {
            Self::First | Self::Insert => session.insert("b", &2).unwrap(),
            Self::Renew => session.renew(),
            Self::LogIn => session.log_in("ada").unwrap(),
            Self::LogOut => session.log_out(),
            Self::Replace => {
                session.log_out();
                session.insert("b", &2).unwrap();
            }
        }
    }

    /// `browser` has the answer, `stale` is as before.
    pub(crate) async fn assert_done(self, site: &Site, browser: &Browser, stale: &Browser) {
        match self {
            Self::First | Self::Insert => assert_eq!(site.value(browser, "b").await, Some(2)),
            Self::Renew | Self::LogIn => {
                assert_ne!(browser.header("/"), stale.header("/"));
                assert_eq!(site.value(browser, "a").await, Some(1));
                assert_eq!(site.value::<i32>(stale, "a").await, None);
            }
            Self::LogOut => {
                assert_eq!(browser.header("/"), None);
                assert_eq!(site.value::<i32>(stale, "a").await, None);
            }
            Self::Replace => {
                assert_eq!(site.value(browser, "b").await, Some(2));
                assert_eq!(site.value::<i32>(browser, "a").await, None);
                assert_eq!(site.value::<i32>(stale, "a").await, None);
            }
        }
        if matches!(self, Self::LogIn) {
            assert_eq!(site.owner(browser).await.as_deref(), Some("ada"));
        }
    }
}
