//! Sessions in Redis, with axum. A mobile application uses the same routes without cookies.
//!
//! Run it as `login.rs` says, with `--example axum`. Then, as the mobile application does:
//! `curl -i -X POST http://127.0.0.1:8080/app/login/ada` answers `session-id`, and
//! `curl -H "authorization: Bearer $ID" http://127.0.0.1:8080/app` says who that is.

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use session_redis::RedisStore;
use session_tower::{
    CrossSiteGuard, Session, SessionError, SessionLayer, finish_saves,
    session_core::{
        Sessions, Settings,
        config::{Env, IdHeader},
    },
    sigterm,
};
use tokio::net::TcpListener;

async fn home(session: Session) -> Result<String, SessionError> {
    // Runs again if another request changed the session meanwhile: no visit is lost.
    let visits = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    let user = session.owner();
    let user = user.as_deref().unwrap_or("stranger");
    Ok(format!("hello {user}, visit {visits}"))
}

async fn log_in(session: Session, Path(user): Path<String>) -> Result<&'static str, SessionError> {
    session.log_in(&user)?; // check the password first
    Ok("welcome")
}

async fn log_out(session: Session) -> &'static str {
    session.log_out();
    "bye"
}

fn routes() -> Router {
    Router::new()
        .route("/", get(home))
        .route("/login/{user}", post(log_in))
        .route("/logout", post(log_out))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let env = Env::of_process();
    let settings = Settings::from_env(&env)?;
    // The first request connects; Redis removes what has expired.
    let store = Arc::new(RedisStore::from_env(&env)?);
    let by_header = settings.clone().with_id_header(IdHeader::bearer());
    let browsers = SessionLayer::new(Sessions::new(settings, store.clone())?);
    let programs = SessionLayer::new(Sessions::new(by_header, store)?);
    // Two kinds of sessions, each for some of the routes. With one, `layer.layer(routes)` around all
    // of them costs less.
    let app = routes()
        .layer(browsers)
        .layer(CrossSiteGuard::default())
        .nest("/app", routes().layer(programs));
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app)
        .with_graceful_shutdown(sigterm())
        .await?;
    finish_saves(Duration::from_secs(5)).await; // those of clients that hung up
    Ok(())
}
