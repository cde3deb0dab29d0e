//! `AppSessions`: an application's sessions, from the environment to a running middleware.

use std::{ops::Deref, time::Duration};

use session_actix::{
    SessionMiddleware,
    session_core::{
        Settings,
        config::{ConfigError, Env},
    },
    sigterm_and_saves,
};

/// How long saves of clients that hung up may hold up the end of the process.
const LAST_SAVES: Duration = Duration::from_secs(5);

/// The sessions of an application, in the store that `SESSION_TYPE` names, as a middleware of Actix
/// Web. The other methods are those of [`session_stores::AppSessions`].
///
/// This is a handle: clones share everything.
#[derive(Clone, Debug)]
pub struct AppSessions(session_stores::AppSessions);

impl AppSessions {
    /// Starts the sessions that this process's environment describes, in the native profile: see
    /// [`session_stores::AppSessions::from_env`].
    ///
    /// # Errors
    ///
    /// The first setting that is missing or cannot be used, and what to do.
    pub async fn from_env() -> Result<Self, ConfigError> {
        session_stores::AppSessions::from_env().await.map(Self)
    }

    /// Starts the sessions with `settings`, in the store that `env` describes: see
    /// [`session_stores::AppSessions::start`].
    ///
    /// # Errors
    ///
    /// If a setting is missing or cannot be used, or if the table or the collection holds something
    /// else. The message says what to do.
    ///
    /// # Panics
    ///
    /// If it is not called on a tokio runtime with its timer, such as that of
    /// `#[actix_web::main]`.
    pub async fn start(settings: Settings, env: &Env) -> Result<Self, ConfigError> {
        session_stores::AppSessions::start(settings, env)
            .await
            .map(Self)
    }

    /// The middleware to wrap the application with.
    pub fn middleware(&self) -> SessionMiddleware {
        SessionMiddleware::new(self.sessions().clone())
    }

    /// Waits for SIGTERM, and then up to five seconds for the saves of clients that hung up.
    ///
    /// Pass it to `HttpServer::shutdown_signal`. [`sigterm_and_saves`] is the same with another
    /// limit, and says what happens to other signals.
    pub async fn shutdown() {
        sigterm_and_saves(LAST_SAVES).await;
    }
}

impl Deref for AppSessions {
    type Target = session_stores::AppSessions;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
