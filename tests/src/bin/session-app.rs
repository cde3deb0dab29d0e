//! A log-in and a counter, in the store that the environment names, with a log of its own. It listens
//! on `ADDR`. With `FLASK_SECRET_KEY` the cookies of Flask's built-in session start sessions here, and
//! are kept.

use std::env;

use actix_server_sessions::{
    AppSessions, RunError, Session, SessionError,
    session_core::{
        Settings,
        config::{ConfigError, Env, FlaskCookie},
    },
    web,
};
use actix_web::{get, post};

#[get("/")]
async fn home(session: Session) -> String {
    let user = session.owner();
    format!("hello {}", user.as_deref().unwrap_or("stranger"))
}

#[get("/count")]
async fn count(session: Session) -> Result<String, SessionError> {
    let visits = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(format!("visit {visits}"))
}

#[post("/login/{user}")]
async fn log_in(session: Session, user: web::Path<String>) -> Result<&'static str, SessionError> {
    session.log_in(&user)?; // check the password first
    Ok("welcome")
}

#[post("/logout")]
async fn log_out(session: Session) -> &'static str {
    session.log_out();
    "bye"
}

#[get("/plain")]
async fn plain() -> &'static str {
    "no session here"
}

async fn after_flask(key: String) -> Result<AppSessions, ConfigError> {
    let env = Env::of_process();
    let flask = FlaskCookie::new(key)?.kept();
    let settings = Settings::from_env(&env)?.with_flask_cookie(flask);
    AppSessions::start(settings, &env).await
}

#[actix_web::main]
async fn main() -> Result<(), RunError> {
    tracing_subscriber::fmt().init();
    let sessions = match env::var("FLASK_SECRET_KEY") {
        Ok(key) => after_flask(key).await?,
        Err(_) => AppSessions::from_env().await?,
    };
    let address = env::var("ADDR").unwrap_or("127.0.0.1:8080".into());
    let serve = sessions.serve(&address, |app| {
        app.service((home, count, log_in, log_out, plain))
    });
    serve.await
}
