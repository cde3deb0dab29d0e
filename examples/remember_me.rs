//! "Remember me": 30 days for those who ask for it, and for all others until the browser closes or half an hour passes.
//!
//! Run it as `login.rs` says, with `--example remember_me`.

use std::{error::Error, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, get, post, web};
use serde::Deserialize;
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{Sessions, Settings, config::Env, sweep_every},
};
use session_fs::FileStore;

const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);
const THIRTY_DAYS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Deserialize)]
struct Login {
    user: String,
    #[serde(default)]
    remember: bool,
}

#[post("/login")]
async fn log_in(session: Session, form: web::Form<Login>) -> Result<&'static str, SessionError> {
    session.log_in(&form.user)?;
    // Both are stored with the session, so they hold for every request that follows.
    session.set_lifetime(form.remember.then_some(THIRTY_DAYS));
    session.set_permanent(form.remember);
    Ok("welcome")
}

#[get("/")]
async fn who(session: Session) -> String {
    let user = session.owner();
    let user = user.as_deref().unwrap_or("stranger");
    format!("hello {user}, until {:?}", session.expires_at())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let settings = Settings::from_env(&Env::of_process())?
        .with_idle_timeout(HALF_AN_HOUR)
        .with_permanent(false);
    let store = Arc::new(FileStore::open("./sessions")?);
    actix_web::rt::spawn(sweep_every(store.clone(), settings.sweep_pause()));
    let sessions = Sessions::new(settings, store)?;
    let app = move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            .service((log_in, who))
    };
    HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?;
    Ok(())
}
