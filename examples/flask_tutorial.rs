//! The configuration of a Flask-Session tutorial, from the environment, to share its sessions.
//!
//! ```sh
//! export SECRET_KEY=dev SESSION_TYPE=redis SESSION_USE_SIGNER=True SESSION_KEY_PREFIX=myapp:
//! export SESSION_PERMANENT=False PERMANENT_SESSION_LIFETIME=1800 SESSION_REDIS=redis://127.0.0.1:6379
//! cargo run -p examples --example flask_tutorial
//! ```
//!
//! The Flask application has the same values, and `SESSION_REFRESH_EACH_REQUEST = False`.

use actix_server_sessions::{
    AppSessions, RunError, Session, SessionError,
    session_core::{
        Settings,
        config::{Env, Refresh},
    },
};
use actix_web::{get, web};

#[get("/")]
async fn index(session: Session) -> Result<String, SessionError> {
    let name = session.get::<String>("name")?;
    Ok(format!("hello {}", name.as_deref().unwrap_or("stranger")))
}

#[get("/set/{name}")]
async fn set(session: Session, name: web::Path<String>) -> Result<&'static str, SessionError> {
    session.insert("name", &*name)?;
    Ok("ok")
}

#[actix_web::main]
async fn main() -> Result<(), RunError> {
    let env = Env::of_process();
    let settings = Settings::flask()
        .with_refresh(Refresh::OnChange)
        .overlaid(&env)?;
    let sessions = AppSessions::start(settings, &env).await?;
    let serve = sessions.serve("127.0.0.1:8080", |app| app.service((index, set)));
    serve.await
}
