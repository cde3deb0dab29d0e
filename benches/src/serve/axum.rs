//! The programs with axum: one that uses this library, one whose route does not, and one without
//! sessions.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router, ServiceExt,
    extract::Request,
    response::Response,
    routing::{IntoMakeService, get, post},
};
use session_redis::RedisStore;
use session_tower::{
    DefaultSession, Session, SessionError, SessionLayer, SessionService,
    session_core::{SecretKeys, Sessions, Settings},
};
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

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
    serve(around(&layer(url)?, routes()))
}

pub(super) fn redis_by_route(url: &str) -> Result<()> {
    serve(routes().layer(layer(url)?).into_make_service())
}

pub(super) fn unused(url: &str) -> Result<()> {
    serve(around(&layer(url)?, unused_routes()))
}

pub(super) fn unused_by_route(url: &str) -> Result<()> {
    serve(unused_routes().layer(layer(url)?).into_make_service())
}

pub(super) fn bare() -> Result<()> {
    serve(unused_routes().into_make_service())
}

fn routes() -> Router {
    Router::new()
        .route("/fill", post(fill))
        .route("/read", get(read))
        .route("/change", post(change))
}

fn unused_routes() -> Router {
    Router::new()
        .route("/fill", post(async || "filled"))
        .route("/read", get(untouched))
}

fn around(
    layer: &SessionLayer,
    router: Router,
) -> IntoMakeService<SessionService<DefaultSession, Router>> {
    ServiceExt::<Request>::into_make_service(layer.layer(router.with_state(())))
}

fn serve<S>(app: IntoMakeService<S>) -> Result<()>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    runtime()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?);
        Ok(axum::serve(listener, app).await?)
    })
}
