//! Sessions in MongoDB. `SESSION_MONGODB` is its address.
//!
//! Run it as `login.rs` says, with `--example mongo`.

use std::{error::Error, sync::Arc};

use actix_web::{App, HttpServer, get};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{Sessions, Settings, config::Env},
};
use session_mongo::MongoStore;

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
    let store = Arc::new(MongoStore::from_env(&env).await?);
    // Once: one index removes what has expired, the other finds the sessions of a user.
    store.ensure_indexes().await?;
    let sessions = Sessions::new(settings, store)?;
    let app = move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            .service(count)
    };
    HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?;
    Ok(())
}
