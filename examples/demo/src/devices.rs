//! The routes about the other sessions of the same user: "my devices".

use actix_server_sessions::{
    Session,
    session_core::{Error, Lineage, OwnedSession, Sessions},
};
use actix_web::{
    HttpResponse, delete, get,
    http::StatusCode,
    post,
    web::{Data, Json, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{api::unix_seconds, error::ApiError};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(list)
        .service(end)
        .service(log_out_everywhere)
        .service(back_channel_log_out);
}

#[get("/sessions")]
async fn list(session: Session) -> Result<Json<Value>, ApiError> {
    let sessions = session.owner_sessions().await?;
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
        "user_agent": session.label().unwrap_or_default(),
    })
}

#[delete("/sessions/{handle}")]
async fn end(session: Session, handle: Path<String>) -> Result<HttpResponse, ApiError> {
    Ok(if end_named(&session, &handle).await? {
        HttpResponse::NoContent().finish()
    } else {
        HttpResponse::NotFound().finish()
    })
}

/// Ends the caller's session that `handle` names; false if there is none.
pub(crate) async fn end_named(session: &Session, handle: &str) -> Result<bool, Error> {
    match handle.parse::<Lineage>() {
        Ok(lineage) => session.end_owner_session(&lineage).await,
        // Whether the store could name it comes first.
        Err(_) => session.owner_sessions().await.map(|_| false),
    }
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

#[derive(Deserialize)]
struct BackChannel {
    sid: String,
}

/// Where an identity provider says that its user has logged out. A real site takes the `sid` from a
/// logout token that it has validated. Here everybody may log in and out as anybody.
#[post("/backchannel-logout")]
async fn back_channel_log_out(
    sessions: Data<Sessions>,
    query: Query<BackChannel>,
) -> Result<Json<Value>, ApiError> {
    let ended = sessions.end_provider_session(&query.sid).await?;
    Ok(Json(json!({ "ended": ended })))
}
