//! Sessions in memcached, which may forget them. `SESSION_MEMCACHED` names the nodes.
//!
//! Run it as `login.rs` says, with `--example memcached`.

use std::{error::Error, sync::Arc};

use actix_web::{App, HttpServer, get};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{Sessions, Settings, config::Env},
};
use session_memcached::MemcachedStore;

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
    let store = Arc::new(MemcachedStore::from_env(&env)?);
    // Memcached cannot list a user's sessions.
    let sessions = Sessions::builder(settings, store)
        .without_owner_lists()
        .build()?;
    let app = move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            .service(count)
    };
    HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?;
    Ok(())
}
