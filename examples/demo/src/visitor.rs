//! What the JSON routes and the page both do with the visitor's session.

use std::time::Duration;

use actix_server_sessions::{Session, session_core::Result};
use actix_web::{
    HttpRequest,
    http::{StatusCode, header::USER_AGENT},
};

use crate::error::ApiError;

/// What a request does between reading a number and writing it.
const WORK: Duration = Duration::from_millis(5);

pub(crate) fn log_in(
    session: &Session,
    request: &HttpRequest,
    user: &str,
    sid: Option<&str>,
) -> std::result::Result<(), ApiError> {
    if user.is_empty() {
        return Err(ApiError::refused(
            StatusCode::BAD_REQUEST,
            "a name is needed",
        ));
    }
    match sid {
        Some(sid) => session.log_in_from_provider(user, sid)?,
        None => session.log_in(user)?,
    }
    // Its name in the list of the user's devices.
    let agent = request.headers().get(USER_AGENT);
    session.set_label(agent.and_then(|it| it.to_str().ok()));
    Ok(())
}

/// How an application without `increment` would do it: what others add meanwhile is lost.
pub(crate) async fn increment_naively(session: &Session, key: &str) -> Result<()> {
    let number: Option<i64> = session.get(key)?;
    tokio::time::sleep(WORK).await;
    session.insert(key, &number.unwrap_or(0).saturating_add(1))
}

/// Whether the application itself put a value under `key`; the others are Flask's names.
pub(crate) fn is_data(key: &str) -> bool {
    !["_permanent", "_flashes"].contains(&key)
}
