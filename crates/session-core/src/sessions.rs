//! One application's sessions: settings and store, and what an administrator does with them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, timeout};

use crate::{
    Lineage,
    config::{ConfigError, OnMaxPerUser, Settings},
    cookie::CookieAttributes,
    driver::{BackgroundSave, Unsaved},
    error::Error,
    id::SessionId,
    measure::{self, Operation},
    memory::{Clock, MemoryStore},
    owned::{Owned, OwnedSession},
    record::Record,
    request_session::{Finish, RequestSession},
    session::Session,
    shared::Shared,
    store::SessionStore,
};

/// The sessions of one application: its settings and its store.
///
/// This is a handle: clones share everything.
#[derive(Clone)]
pub struct Sessions(pub(crate) Arc<Shared>);

/// Builds [`Sessions`].
#[must_use]
pub struct SessionsBuilder {
    settings: Settings,
    store: Arc<dyn SessionStore>,
    owner_lists: bool,
    clock: Clock,
}

impl SessionsBuilder {
    /// Allows a store, or settings, with which a user's sessions cannot be listed.
    ///
    /// The application must then neither list a user's sessions nor log a user out everywhere: both
    /// are [`Error::NoOwnerIndex`].
    pub fn without_owner_lists(mut self) -> Self {
        self.owner_lists = false;
        self
    }

    /// Whether the store and the settings allow a user's sessions to be listed.
    pub fn can_list_owners(&self) -> bool {
        self.settings.is_native() && self.store.clone().owner_index().is_some()
    }

    /// Takes the time from `clock`, for tests. Defaults to the system's clock.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings and the store.
    ///
    /// # Errors
    ///
    /// If the settings break a rule, if the store's limit is less than [`Record::HEAD`] bytes, or
    /// if a user's sessions cannot be listed and [`without_owner_lists`](Self::without_owner_lists)
    /// was not called. The message says what to do.
    pub fn build(self) -> Result<Sessions, ConfigError> {
        self.settings.check()?;
        let limit = self.store.limit();
        if limit < Record::HEAD {
            return Err(ConfigError::new(
                "the store's limit",
                format!("is {limit} bytes: at least {} are needed", Record::HEAD),
            ));
        }
        let (most, policy) = (self.settings.max_per_user, self.settings.on_max_per_user);
        if most.is_some() && !(self.owner_lists && self.can_list_owners()) {
            return Err(ConfigError::new(
                "SESSION_MAX_PER_USER",
                "needs a store and settings with which a user's sessions can be listed: leave it unset beside memcached, \
                 beside Flask's sessions, and with without_owner_lists()",
            ));
        }
        let logins = Record::HEAD + 16 * most.unwrap_or_default();
        if policy == OnMaxPerUser::RefuseLogin && limit < logins {
            return Err(ConfigError::new(
                "SESSION_MAX_PER_USER",
                format!("needs a store whose limit is at least {logins} bytes"),
            ));
        }
        #[cfg(feature = "flask-cookie")]
        if self.settings.flask.cookie.is_some() && self.store.clone().owner_index().is_none() {
            return Err(ConfigError::new(
                "with_flask_cookie",
                "needs a store that keeps what it notes about log-outs and can list a user's sessions: memcached forgets",
            ));
        }
        let mut shared = Shared::of(self.settings, self.store.clone());
        if self.owner_lists {
            let cannot = |reason| Err(ConfigError::new("the store", format!("{reason}; {REMEDY}")));
            shared.owners = match self.store.owner_index() {
                _ if !shared.rules.settings.is_native() => return cannot(FLASK_HAS_NO_OWNERS),
                None => return cannot("cannot list a user's sessions"),
                index => index,
            };
        }
        shared.clock = self.clock;
        #[cfg(feature = "metrics")]
        shared.metrics.begin();
        Ok(Sessions(Arc::new(shared)))
    }
}

const FLASK_HAS_NO_OWNERS: &str =
    "also holds Flask's sessions, which name no owner, so a user's sessions cannot be listed";
const REMEDY: &str = "if the application neither lists a user's sessions nor logs a user out everywhere, build it by \
    Sessions::builder(settings, store).without_owner_lists().build()";

impl Sessions {
    /// The sessions in `store`.
    ///
    /// # Errors
    ///
    /// Those of [`SessionsBuilder::build`], so also if the store cannot list a user's sessions.
    pub fn new(settings: Settings, store: Arc<dyn SessionStore>) -> Result<Self, ConfigError> {
        Self::builder(settings, store).build()
    }

    /// A builder, for choices other than settings and store.
    pub fn builder(settings: Settings, store: Arc<dyn SessionStore>) -> SessionsBuilder {
        SessionsBuilder {
            settings,
            store,
            owner_lists: true,
            clock: Arc::new(SystemTime::now),
        }
    }

    /// One request's use of the session.
    ///
    /// If its last handle is dropped before [`RequestSession::finish`], or while a
    /// [`save`](crate::Session::save) is under way, changes that are not saved are lost, and a
    /// warning counts them.
    pub fn begin_request(&self) -> RequestSession {
        RequestSession::new(self.0.clone(), Unsaved::Counted)
    }

    /// As [`begin_request`](Self::begin_request), but with a function that completes a save when
    /// the last handle is dropped. `finish` is called with a [`save`](crate::Session::save) that is
    /// under way, also in a stream, and with the log-out of a handler that was dropped. Other
    /// changes of such a handler are incomplete, and are lost.
    ///
    /// An adapter spawns a task in `finish`. `finish` is called where the handle is dropped, so it
    /// must not block.
    pub fn begin_request_with(&self, finish: fn(BackgroundSave)) -> RequestSession {
        RequestSession::new(self.0.clone(), Unsaved::Finished(finish))
    }

    /// Unsigned sessions in a new memory store, for tests. The cookie is named `session` and needs
    /// no TLS.
    #[expect(clippy::missing_panics_doc, reason = "the settings are right")]
    pub fn in_memory() -> Self {
        let cookie = CookieAttributes {
            name: "session".into(),
            secure: false,
            ..CookieAttributes::default()
        };
        let settings = Settings::unsigned().with_cookie(cookie);
        Self::new(settings, Arc::new(MemoryStore::new())).expect("the settings are right")
    }

    /// Creates a session, changes it by `change`, and returns the visitor's `Cookie` header, or the
    /// value of the [header](crate::config::IdHeader) in its place, for tests. An example is `sessions.cookie_of(|session| session.log_in("ada")).await?`.
    ///
    /// The header is empty if `change` left nothing to store.
    ///
    /// # Errors
    ///
    /// That of `change`, or of the store.
    pub async fn cookie_of(
        &self,
        change: impl FnOnce(&Session) -> crate::Result<()>,
    ) -> crate::Result<String> {
        let visit = self.begin_request();
        change(&visit.session(&mut std::iter::empty()).await?)?;
        let outcome = match visit.finish() {
            Finish::Ready(outcome) => outcome,
            Finish::Pending(saving) => saving.await?,
        };
        if let (Some(header), Some(id)) = (outcome.id_header, outcome.set_id) {
            return Ok(header.value_of(&id));
        }
        let cookie = outcome.set_cookie.unwrap_or_default();
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    /// Whether both are clones of the same `Sessions`.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.0.rules.settings
    }

    /// Whether a user's sessions can be listed; false after
    /// [`without_owner_lists`](SessionsBuilder::without_owner_lists).
    pub fn has_owner_lists(&self) -> bool {
        self.0.owners.is_some()
    }

    /// Asks the store for a record that does not exist, for a readiness probe. Returns how long the
    /// answer took.
    ///
    /// It costs the store what any request costs it, and takes the
    /// [store time](Settings::with_store_timeout) of a request at most. A process whose store is down
    /// still serves routes without a session, so decide whether it is to get no requests then.
    ///
    /// # Errors
    ///
    /// Why the store cannot be used: it is down or slow, or lacks its table.
    pub async fn check_store(&self) -> crate::Result<Duration> {
        let settings = self.settings();
        let id = SessionId::random(settings.id_bytes);
        let began = Instant::now();
        let budget = settings.store_timeout;
        let key = settings.prefix.hashed_key(&id);
        let _counted = self.0.metrics.begin_call(&*self.0.store);
        let load = measure::spanned(Operation::Check, self.0.store.load(&key));
        let answer = timeout(budget, load).await;
        let answer = answer.unwrap_or(Err(Error::Timeout { budget })).map(drop);
        let took = began.elapsed();
        self.0.metrics.store_call(Operation::Check, took, &answer);
        answer.map(|()| took)
    }

    /// Lists the live sessions of `owner`, the oldest first, for an administrator's page.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn owner_sessions(&self, owner: &str) -> crate::Result<Vec<OwnedSession>> {
        Owned::of(&self.0)?.list(owner).await
    }

    /// Ends the session of `owner` with this `lineage`. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn end_owner_session(&self, owner: &str, lineage: &Lineage) -> crate::Result<bool> {
        Owned::of(&self.0)?.end_one(owner, lineage).await
    }

    /// Ends every session that belongs to the session `sid` of an identity provider: those that
    /// [`Session::log_in_from_provider`](crate::Session::log_in_from_provider) logged in with it, and
    /// their renewals. Returns how many it ended. For the logout token of OpenID Connect Back-Channel
    /// Logout 1.0, once the application has validated it.
    ///
    /// What it promises is what [`log_out_everywhere`](Self::log_out_everywhere) promises for an
    /// owner: a login with this `sid` that is still in flight survives.
    ///
    /// # Errors
    ///
    /// If the store fails. Some sessions may have been ended then; call it again.
    pub async fn end_provider_session(&self, sid: &str) -> crate::Result<u64> {
        Owned::of(&self.0)?.end_provider_session(sid).await
    }

    /// Ends every session of `owner`, for example after a password change. Returns how many it
    /// ended.
    ///
    /// It ends every session whose login was answered before the call, and every renewal of those
    /// sessions. A login of the same owner that is still in flight survives.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn log_out_everywhere(&self, owner: &str) -> crate::Result<u64> {
        Owned::of(&self.0)?.end_all(owner, None).await
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder")
            .field("settings", &self.settings)
            .field("store", &self.store)
            .field("owner_lists", &self.owner_lists)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
