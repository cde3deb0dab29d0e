//! The routes about the other sessions of the same user: "my devices".

use actix_web::{
    HttpResponse, delete, get,
    http::StatusCode,
    post,
    web::{Json, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use serde_json::{Value, json};
use session_actix::{
    Session,
    session_core::{Lineage, OwnedSession},
};

use crate::{api::unix_seconds, error::ApiError, visitor::AGENT};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(list)
        .service(end)
        .service(log_out_everywhere);
}

#[get("/sessions")]
async fn list(session: Session) -> Result<Json<Value>, ApiError> {
    let sessions = session.sessions_of_owner().await?;
    if session.owner().is_none() {
        return Err(ApiError::refused(StatusCode::UNAUTHORIZED, "log in first"));
    }
    let current = session.lineage();
    Ok(Json(
        sessions
            .iter()
            .map(|it| shown(it, current.as_ref()))
            .collect(),
    ))
}

fn shown(session: &OwnedSession, current: Option<&Lineage>) -> Value {
    json!({
        "handle": session.lineage().as_str(),
        "current": Some(session.lineage()) == current,
        "created_at": session.created_at().map(unix_seconds),
        "expires_at": unix_seconds(session.expires_at()),
        "user_agent": agent(session),
    })
}

pub(crate) fn agent(session: &OwnedSession) -> String {
    session.get(AGENT).ok().flatten().unwrap_or_default()
}

#[delete("/sessions/{handle}")]
async fn end(session: Session, handle: Path<String>) -> Result<HttpResponse, ApiError> {
    Ok(
        if session.end_of_owner(&Lineage::from_text(&handle)).await? {
            HttpResponse::NoContent().finish()
        } else {
            HttpResponse::NotFound().finish()
        },
    )
}

#[derive(Deserialize)]
struct Everywhere {
    #[serde(default)]
    keep_current: bool,
}

#[post("/logout-everywhere")]
async fn log_out_everywhere(
    session: Session,
    query: Query<Everywhere>,
) -> Result<Json<Value>, ApiError> {
    let ended = session.log_out_everywhere(query.keep_current).await?;
    Ok(Json(json!({ "ended": ended })))
}
