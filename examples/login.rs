//! Logging in, logging out, and logging out everywhere.
//!
//! ```sh
//! export SECRET_KEY=$(openssl rand -base64 48)
//! # Only for plain HTTP on your own desk:
//! export SESSION_COOKIE_NAME=session SESSION_COOKIE_SECURE=false
//! cargo run -p examples --example login
//! ```

use std::{error::Error, sync::Arc};

use actix_web::{App, HttpServer, get, post, web};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{Sessions, Settings, config::Env, sweep_every},
};
use session_fs::FileStore;

#[get("/")]
async fn who(session: Session) -> String {
    format!("hello {}", session.owner().as_deref().unwrap_or("stranger"))
}

// Check the password first. Logging in gives the session a new id, so one that was planted before it is worth nothing.
#[post("/login/{user}")]
async fn log_in(session: Session, user: web::Path<String>) -> Result<&'static str, SessionError> {
    session.log_in(&user)?;
    Ok("welcome")
}

#[post("/logout")]
async fn log_out(session: Session) -> &'static str {
    session.log_out();
    "bye"
}

#[post("/logout-everywhere")]
async fn log_out_everywhere(session: Session) -> Result<String, SessionError> {
    let ended = session.log_out_everywhere(false).await?;
    Ok(format!("{ended} sessions ended"))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Warnings of the library, such as why a store failed, are events of `tracing`.
    tracing_subscriber::fmt().init();
    let settings = Settings::from_env(&Env::of_process())?;
    let store = Arc::new(FileStore::open("./sessions")?);
    actix_web::rt::spawn(sweep_every(store.clone(), settings.sweep_pause()));
    let sessions = Sessions::new(settings, store)?;
    let app = move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            .service((who, log_in, log_out, log_out_everywhere))
    };
    HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?;
    Ok(())
}
