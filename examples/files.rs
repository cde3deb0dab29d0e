//! Sessions in files: no server, and they survive a restart. `SESSION_FILE_DIR` names the
//! directory.
//!
//! Run it as `login.rs` says, with `--example files`.

use std::{error::Error, sync::Arc};

use actix_web::{App, HttpServer, get};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{Sessions, Settings, config::Env, sweep_every},
};
use session_fs::FileStore;

#[get("/")]
async fn count(session: Session) -> Result<String, SessionError> {
    // Runs again if another request changed the session meanwhile: no visit is lost.
    let visits = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(format!("visit {visits}"))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let env = Env::of_process();
    let settings = Settings::from_env(&env)?;
    // A directory that cannot be used stops the start, and not the first request.
    let store = Arc::new(FileStore::from_env(&env)?);
    // Nobody else removes what has expired.
    actix_web::rt::spawn(sweep_every(store.clone(), settings.sweep_pause()));
    let sessions = Sessions::new(settings, store)?;
    let app = move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            .service(count)
    };
    HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?;
    Ok(())
}
