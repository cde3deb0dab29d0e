//! The tests' application: a site with one store, browsers that send requests, and a clock that
//! only the test moves.

mod browser;
mod log;
mod store;
mod time;
mod work;

use std::{ops::Deref, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use session_core::{
    CookieAttributes, Finish, MemoryStore, RequestSession, ResponseHeaders, Result, SecretKeys,
    Session, Sessions, Settings, config::ConfigError,
};

pub(crate) use self::{
    browser::Browser,
    log::Log,
    store::{Failure, Method, TestStore, When},
    time::Time,
    work::Work,
};

/// What a request does with its session.
pub(crate) type Handler = fn(&Session);

pub(crate) fn keys() -> SecretKeys {
    SecretKeys::new("Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP").unwrap()
}

/// The default settings.
pub(crate) fn signed() -> Settings {
    Settings::new(keys())
}

/// An application, its store and its time.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) sessions: Sessions,
    pub(crate) store: TestStore,
    pub(crate) time: Time,
}

impl Site {
    pub(crate) fn new(settings: Settings) -> Self {
        let (store, time) = store(MemoryStore::new());
        Self::on(settings, store, time).unwrap()
    }

    /// One whose store takes records of `limit` bytes.
    pub(crate) fn with_limit(settings: Settings, limit: usize) -> Result<Self, ConfigError> {
        let (store, time) = store(MemoryStore::new().with_limit(limit));
        Self::on(settings, store, time)
    }

    /// Another application, or the next release of it, with the same store.
    pub(crate) fn with_settings(&self, settings: Settings) -> Self {
        Self::on(settings, self.store.clone(), self.time.clone()).unwrap()
    }

    /// Another process with the same store, whose clock is `by` fast.
    pub(crate) fn fast(&self, settings: Settings, by: Duration) -> Self {
        Self::on(settings, self.store.clone(), self.time.fast(by)).unwrap()
    }

    fn on(settings: Settings, store: TestStore, time: Time) -> Result<Self, ConfigError> {
        let builder = Sessions::builder(settings, Arc::new(store.clone())).with_clock(time.clock());
        let builder = if builder.can_list_owners() {
            builder
        } else {
            builder.without_owner_lists()
        };
        let sessions = builder.build()?;
        Ok(Self {
            sessions,
            store,
            time,
        })
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.time.clone())
    }

    /// The browser of somebody who has just logged in.
    pub(crate) async fn logged_in(&self, owner: &str) -> Browser {
        let browser = self.browser();
        self.request(&browser, |session| session.log_in(owner).unwrap())
            .await;
        browser
    }

    /// The browser of a visitor whose session holds `a`.
    pub(crate) async fn visited(&self) -> Browser {
        let browser = self.browser();
        self.request(&browser, |session| session.insert("a", &1).unwrap())
            .await;
        browser
    }

    /// Begins a request, and loads its session.
    pub(crate) async fn open<'b>(&self, browser: &'b Browser) -> Request<'b> {
        self.try_open(browser).await.unwrap()
    }

    pub(crate) async fn try_open<'b>(&self, browser: &'b Browser) -> Result<Request<'b>> {
        let request_session = self.sessions.begin_request();
        let session = browser.session(&request_session).await?;
        Ok(Request {
            inner: request_session,
            session,
            browser,
        })
    }

    /// A whole request that is answered.
    pub(crate) async fn request(
        &self,
        browser: &Browser,
        handler: impl FnOnce(&Session),
    ) -> Answer {
        let request = self.open(browser).await;
        handler(&request);
        request.answer().await.unwrap()
    }

    /// The owner of the browser's session. Nothing is written.
    pub(crate) async fn owner(&self, browser: &Browser) -> Option<String> {
        let request = self.open(browser).await;
        request.owner().map(|owner| owner.to_string())
    }

    /// The value under `key` in the browser's session. Nothing is written.
    pub(crate) async fn value<T: DeserializeOwned>(
        &self,
        browser: &Browser,
        key: &str,
    ) -> Option<T> {
        self.open(browser).await.get(key).unwrap()
    }
}

fn store(inner: MemoryStore) -> (TestStore, Time) {
    let time = Time::new();
    (TestStore::new(inner.with_clock(time.clock())), time)
}

/// The head of an answer, which the browser has taken.
#[derive(Debug)]
pub(crate) struct Answer(ResponseHeaders);

impl Deref for Answer {
    type Target = ResponseHeaders;

    fn deref(&self) -> &ResponseHeaders {
        &self.0
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Request<'b> {
    pub(crate) inner: RequestSession,
    pub(crate) session: Session,
    browser: &'b Browser,
}

impl Request<'_> {
    /// Ends the request. The browser gets the response's head, also if the save failed.
    pub(crate) async fn answer(&self) -> Result<Answer> {
        let saved = match self.inner.finish() {
            Finish::Ready(outcome) => Ok(outcome),
            Finish::Pending(saving) => saving.await,
        };
        match &saved {
            Ok(outcome) => self.browser.receive(outcome),
            Err(_) => self.browser.receive(&self.inner.failed()),
        }
        saved.map(Answer)
    }
}

impl Deref for Request<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// A cookie that a Flask application and this library can share.
pub(crate) fn flask_cookie() -> CookieAttributes {
    CookieAttributes {
        name: "session".into(),
        ..CookieAttributes::default()
    }
}
