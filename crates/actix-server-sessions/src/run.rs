//! `run`: a whole program in one call.

use std::{error, fmt, io};

use actix_web::{rt::System, web::ServiceConfig};
use session_actix::session_core::config::ConfigError;

use crate::{AppSessions, default_log};

/// Runs an application with the sessions that the environment describes, until SIGTERM.
///
/// It starts Actix's runtime, calls [`AppSessions::from_env`] and then [`AppSessions::serve`], whose
/// documentation says what that does.
///
/// ```no_run
/// use actix_server_sessions::{RunError, Session, run, web};
///
/// async fn home(session: Session) -> String {
///     let user = session.owner();
///     format!("hello {}", user.as_deref().unwrap_or("stranger"))
/// }
///
/// fn main() -> Result<(), RunError> {
///     run("127.0.0.1:8080", |app| app.route("/", web::get().to(home)))
/// }
/// ```
///
/// # Errors
///
/// If a setting is missing or cannot be used, or the address cannot be listened on. `main` can return
/// the error: it is shown as one line that says what to do.
///
/// # Panics
///
/// If it is called within a runtime, such as that of `#[actix_web::main]`. There, call
/// [`AppSessions::serve`].
pub fn run(
    address: &str,
    configure: impl Fn(&mut ServiceConfig) -> &mut ServiceConfig + Clone + Send + 'static,
) -> Result<(), RunError> {
    default_log::set_up();
    System::new().block_on(async {
        let sessions = AppSessions::from_env().await?;
        sessions.serve(address, configure).await
    })
}

/// Why an application did not start, or ended.
pub struct RunError(Reason);

enum Reason {
    Setting(ConfigError),
    Listen(String, io::Error),
    Server(io::Error),
}

impl RunError {
    pub(crate) fn listen(address: &str, error: io::Error) -> Self {
        Self(Reason::Listen(address.to_owned(), error))
    }

    pub(crate) fn server(error: io::Error) -> Self {
        Self(Reason::Server(error))
    }
}

impl From<ConfigError> for RunError {
    fn from(error: ConfigError) -> Self {
        Self(Reason::Setting(error))
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Setting(error) => error.fmt(f),
            Reason::Listen(address, error) => {
                write!(f, "{address} cannot be listened on: {error}")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        f.write_str("; end the program that uses it, or choose another port")
                    }
                    _ => Ok(()),
                }
            }
            Reason::Server(error) => write!(f, "the server failed: {error}"),
        }
    }
}

impl fmt::Debug for RunError {
    /// The same line, so that a `main` that returns the error prints it readably.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for RunError {}
