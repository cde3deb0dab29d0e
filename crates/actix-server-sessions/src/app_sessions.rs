//! `AppSessions`: an application's sessions, from the environment to a running middleware.

use std::{ops::Deref, time::Duration};

use actix_web::{App, HttpServer, web::ServiceConfig};
use session_actix::{
    CrossSiteGuard, SessionMiddleware,
    session_core::{
        CrossSiteRule, Settings,
        config::{ConfigError, Env},
    },
    sigterm_and_saves,
};

use crate::{RunError, default_log};

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
    /// What it warns of is lost if no log is set up before.
    ///
    /// # Errors
    ///
    /// If a setting is missing or cannot be used, if the table or the collection holds something
    /// else, or if a pooler mixes up statements. The message says what to do.
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

    /// Serves an application with these sessions on `address`, such as `127.0.0.1:8080`, until
    /// SIGTERM. `configure` adds its routes; it runs once for each worker.
    ///
    /// Requests that another site made the browser send are refused ([`CrossSiteGuard`]). If the
    /// program has set up no log, one line for each event of `INFO` and above goes to standard error.
    /// For anything else, such as other middleware, TLS or the number of workers, write instead what
    /// this does:
    ///
    /// ```
    /// # use actix_web::{App, HttpServer, web::ServiceConfig};
    /// # use actix_server_sessions::{AppSessions, CrossSiteGuard, session_core::CrossSiteRule};
    /// # async fn serve(
    /// #     sessions: AppSessions,
    /// #     configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    /// #     address: &str,
    /// # ) -> std::io::Result<()> {
    /// let rule = CrossSiteRule::new();
    /// let app = move || {
    ///     App::new()
    ///         .configure(&configure)
    ///         .wrap(sessions.middleware())
    ///         .wrap(CrossSiteGuard::new(rule.clone()))
    /// };
    /// let server = HttpServer::new(app).shutdown_signal(AppSessions::shutdown());
    /// server.bind(address)?.run().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on, or the server fails.
    pub async fn serve(
        self,
        address: &str,
        configure: impl Fn(&mut ServiceConfig) -> &mut ServiceConfig + Clone + Send + 'static,
    ) -> Result<(), RunError> {
        default_log::set_up();
        // Made once, so that all workers share how many refusals are logged in a second.
        let rule = CrossSiteRule::new();
        let app = move || {
            App::new()
                .configure(|app| {
                    configure(app);
                })
                .wrap(self.middleware())
                .wrap(CrossSiteGuard::new(rule.clone()))
        };
        let server = HttpServer::new(app)
            .shutdown_signal(Self::shutdown())
            .bind(address)
            .map_err(|error| RunError::listen(address, error))?;
        for address in server.addrs() {
            tracing::info!("listening on http://{address}");
        }
        server.run().await.map_err(RunError::server)
    }

    /// Waits for SIGTERM, and then up to five seconds for the saves of clients that hung up. A save
    /// whose client hangs up after that, while the server stops, can be lost.
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
