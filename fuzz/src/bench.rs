//! Sessions on a store at a fixed time, for the fuzz targets.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::{
    Error, Finish, MemoryStore, RequestSession, ResponseHeaders, Result, SecretKeys, Session,
    SessionStore, Sessions, Settings,
};
use tokio::runtime::{Builder, Runtime};

/// The time of every request, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

/// Signs cookies.
pub const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";

/// The keys that sign with [`SECRET`].
///
/// # Panics
///
/// Never: the secret is strong enough.
#[must_use]
pub fn keys() -> SecretKeys {
    SecretKeys::new(SECRET).expect("a strong key")
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
}

/// Runs `future` to its end.
///
/// # Panics
///
/// Within another.
pub fn run<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Sessions on a store, at a time that stands still.
#[derive(Debug)]
pub struct Bench {
    /// The sessions.
    pub sessions: Sessions,
    cookie: String,
}

impl Bench {
    /// Sessions with `settings` on `store`.
    ///
    /// # Panics
    ///
    /// If the settings break a rule.
    #[must_use]
    pub fn new(settings: Settings, store: impl SessionStore) -> Self {
        Self::of(settings, Arc::new(store))
    }

    /// Sessions with `settings` on `store`, which can be listed.
    #[must_use]
    pub fn in_memory(settings: Settings, store: &MemoryStore) -> Self {
        let store = Arc::new(store.clone().with_clock(Arc::new(now)));
        Self::of(settings, store)
    }

    fn of(settings: Settings, store: Arc<dyn SessionStore>) -> Self {
        let cookie = settings.cookie().name.clone();
        let builder = Sessions::builder(settings, store).with_clock(Arc::new(now));
        let builder = if builder.can_list_owners() {
            builder
        } else {
            builder.without_owner_lists()
        };
        Self {
            cookie,
            sessions: builder.build().expect("good settings"),
        }
    }

    /// A request with these `Cookie` headers.
    ///
    /// # Errors
    ///
    /// If the session cannot be opened.
    pub fn open(&self, headers: &[&[u8]]) -> Result<(RequestSession, Session)> {
        let visit = self.sessions.begin_request();
        let session = run(visit.session(&mut headers.iter().copied()))?;
        Ok((visit, session))
    }

    /// A request with the session cookie of this value.
    ///
    /// # Errors
    ///
    /// If the session cannot be opened.
    pub fn open_id(&self, id: &str) -> Result<(RequestSession, Session)> {
        self.open(&[format!("{}={id}", self.cookie).as_bytes()])
    }

    /// The answer's head.
    ///
    /// # Errors
    ///
    /// If the session cannot be saved.
    pub fn finish(&self, visit: &RequestSession) -> Result<ResponseHeaders> {
        match visit.finish() {
            Finish::Ready(outcome) => Ok(outcome),
            Finish::Pending(saving) => run(saving),
        }
    }

    /// The name and value of the cookie that an answer sets, if it sets one that stays.
    #[must_use]
    pub fn cookie(outcome: &ResponseHeaders) -> Option<String> {
        let pair = outcome.set_cookie.as_deref()?.split(';').next()?;
        (!pair.ends_with('=')).then(|| pair.to_owned())
    }

    /// The cookie of a new session that holds `who` = "me".
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub fn log_in(&self) -> Result<String> {
        let (visit, session) = self.open(&[])?;
        session.insert("who", "me")?;
        Self::cookie(&self.finish(&visit)?).ok_or(Error::Missing)
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}
