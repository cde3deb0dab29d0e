//! The programs with axum: one that uses this library, one whose route does not, and one without
//! sessions.

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use session_redis::RedisStore;
use session_tower::{
    Session, SessionError, SessionLayer,
    session_core::{SecretKeys, Sessions, Settings},
};
use tokio::net::TcpListener;

use super::{LIFETIME, PATIENCE, SECRET, announce, runtime};
use crate::{Result, record};

async fn fill(session: Session) -> Result<&'static str, SessionError> {
    for (key, text) in record::TEXTS {
        session.insert(key, text)?;
    }
    session.insert(record::FILLER, &record::filler())?;
    session.insert(record::CHANGED, &0_u64)?;
    Ok("filled")
}

async fn read(session: Session) -> Result<String, SessionError> {
    Ok(session.get(record::READ)?.unwrap_or_default())
}

async fn change(session: Session) -> Result<String, SessionError> {
    let visits = session.update(record::CHANGED, |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(visits.to_string())
}

/// Answers what [`read`] would, and uses no session.
async fn untouched() -> &'static str {
    record::read()
}

fn layer(url: &str) -> Result<SessionLayer> {
    let settings = Settings::new(SecretKeys::new(SECRET)?)
        .with_idle_timeout(LIFETIME)
        .with_store_timeout(PATIENCE);
    let store = RedisStore::connect(url)?.with_response_timeout(PATIENCE);
    Ok(SessionLayer::new(Sessions::new(settings, Arc::new(store))?))
}

pub(super) fn redis(url: &str) -> Result<()> {
    let app = Router::new()
        .route("/fill", post(fill))
        .route("/read", get(read))
        .route("/change", post(change));
    serve(app.layer(layer(url)?))
}

pub(super) fn unused(url: &str) -> Result<()> {
    let app = Router::new()
        .route("/fill", post(async || "filled"))
        .route("/read", get(untouched));
    serve(app.layer(layer(url)?))
}

pub(super) fn bare() -> Result<()> {
    serve(
        Router::new()
            .route("/fill", post(async || "filled"))
            .route("/read", get(untouched)),
    )
}

fn serve(app: Router) -> Result<()> {
    runtime()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?);
        Ok(axum::serve(listener, app).await?)
    })
}
