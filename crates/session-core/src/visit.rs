use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::OnceCell;

use crate::{
    config::{OnStoreFailure, Refresh},
    cookie,
    error::Result,
    session::Session,
    shared::{Presented, Shared},
};

/// How many cookies of the session's name are tried before the request counts as anonymous.
const MAX_CANDIDATES: usize = 4;

/// One request's use of the session: nothing is read until somebody asks, and then once.
pub struct Visit {
    shared: Arc<Shared>,
    session: OnceCell<Session>,
    looked: AtomicBool,
}

/// What the response's head must say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// The value of a `Set-Cookie` header, which then needs `Cache-Control: no-store`.
    pub set_cookie: Option<String>,
    /// Whether the answer depends on the session, and needs `Vary: Cookie`.
    pub vary: bool,
}

/// The end of a visit.
#[must_use]
pub enum Finish {
    /// There is nothing to do in the store.
    Ready(Outcome),
    /// There is; the future must run to its end, even if the client hangs up. If it fails, [`Visit::failed`] is what the
    /// head must say.
    Pending(Pin<Box<dyn Future<Output = Result<Outcome>> + Send>>),
}

impl Visit {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            session: OnceCell::new(),
            looked: AtomicBool::new(false),
        }
    }

    /// The session of the request that came with these `Cookie` headers: one round trip, the first time.
    ///
    /// The headers are read before the future is, so it borrows nothing.
    ///
    /// # Errors
    ///
    /// If the store fails, unless the application chose to go on with an anonymous session.
    pub fn session(
        self: &Arc<Self>,
        cookie_headers: &mut dyn Iterator<Item = &[u8]>,
    ) -> impl Future<Output = Result<Session>> + Send + use<> {
        self.looked.store(true, Ordering::Relaxed);
        self.open(cookie_headers, Session::clone)
    }

    /// The session, if somebody has loaded it: for code that cannot wait, such as a guard.
    pub fn loaded(&self) -> Option<Session> {
        self.looked.store(true, Ordering::Relaxed);
        self.session.get().cloned()
    }

    /// Whether the session must be opened although nobody asked for it.
    pub fn refreshes_untouched(&self) -> bool {
        self.shared.settings.refresh == Refresh::EveryRequest && self.session.get().is_none()
    }

    /// Opens the session for its refresh alone, without making the answer depend on it.
    ///
    /// # Errors
    ///
    /// As [`session`](Self::session).
    pub fn open_untouched(
        self: &Arc<Self>,
        cookie_headers: &mut dyn Iterator<Item = &[u8]>,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        self.open(cookie_headers, |_| ())
    }

    /// Ends the visit before the response's head is sent: saves what changed.
    pub fn finish(&self) -> Finish {
        let vary = self.looked.load(Ordering::Relaxed);
        let Some(session) = self.session.get() else {
            return Finish::Ready(Outcome {
                set_cookie: None,
                vary,
            });
        };
        if session.is_settled() {
            session.close_head();
            return Finish::Ready(Outcome {
                set_cookie: session.cookie(),
                vary,
            });
        }
        let session = session.clone();
        Finish::Pending(Box::pin(async move {
            let settled = session.settle(true).await;
            session.close_head();
            // Changes dropped because the session ended are no error: its answer carries no cookie.
            let _dropped_or_not = settled?;
            let set_cookie = session.cookie();
            Ok(Outcome {
                vary: vary || set_cookie.is_some(),
                set_cookie,
            })
        }))
    }

    /// The head of an answer whose session could not be saved, or not all of it.
    ///
    /// It carries the cookie of what is known to be done, such as a login that the handler saved itself before the
    /// store failed; otherwise the browser's cookie is left alone.
    pub fn failed(&self) -> Outcome {
        Outcome {
            set_cookie: self.session.get().and_then(Session::cookie),
            vary: true,
        }
    }

    fn open<T: 'static>(
        self: &Arc<Self>,
        cookie_headers: &mut dyn Iterator<Item = &[u8]>,
        give: fn(&Session) -> T,
    ) -> impl Future<Output = Result<T>> + Send + use<T> {
        let presented = match self.session.get() {
            Some(_) => None,
            None => self.shared.present(cookie_headers),
        };
        let visit = self.clone();
        async move {
            let opened = visit
                .session
                .get_or_try_init(|| visit.shared.clone().open(presented));
            opened.await.map(give)
        }
    }
}

impl Shared {
    fn present(&self, headers: &mut dyn Iterator<Item = &[u8]>) -> Option<Presented> {
        let name = &self.settings.cookie.name;
        let mut accepted = headers
            .flat_map(|header| cookie::values(header, name))
            .take(MAX_CANDIDATES)
            .filter_map(|value| self.accept(value));
        let first = accepted.next()?;
        if accepted.any(|other| other.id != first.id) {
            tracing::warn!("a request carries two valid session cookies; the first one counts");
        }
        Some(first)
    }

    async fn open(self: Arc<Self>, presented: Option<Presented>) -> Result<Session> {
        match Session::open(self.clone(), presented).await {
            Err(error) if self.settings.on_store_failure == OnStoreFailure::Anonymous => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the session is anonymous for this request"
                );
                Ok(Session::detached(self))
            }
            opened => opened,
        }
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("session", &self.session.get())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready(_) => "Ready",
            Self::Pending(_) => "Pending",
        })
    }
}
