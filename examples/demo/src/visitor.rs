//! What the JSON routes and the page both do with the visitor's session.

use actix_web::{
    HttpRequest,
    http::{StatusCode, header::USER_AGENT},
};
use session_actix::{Session, session_core::Result};

use crate::error::ApiError;

/// Where the demo notes which browser logged in.
pub(crate) const AGENT: &str = "_user_agent";
const LONGEST_AGENT: usize = 200;

pub(crate) fn log_in(
    session: &Session,
    request: &HttpRequest,
    user: &str,
) -> std::result::Result<(), ApiError> {
    if user.is_empty() {
        return Err(ApiError::refused(
            StatusCode::BAD_REQUEST,
            "a user has a name",
        ));
    }
    session.log_in(user)?;
    let agent = request
        .headers()
        .get(USER_AGENT)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    session.insert(
        AGENT,
        &agent.chars().take(LONGEST_AGENT).collect::<String>(),
    )?;
    Ok(())
}

/// Adds one to the number under `key`, whatever others add at the same moment.
pub(crate) fn increment(session: &Session, key: &str) -> Result<i64> {
    session.update(key, |n: Option<i64>| n.unwrap_or(0).saturating_add(1))
}

/// Whether the application itself put a value under `key`; a leading underscore marks Flask's names and the demo's own.
pub(crate) fn is_data(key: &str) -> bool {
    !["_permanent", "_flashes", AGENT].contains(&key)
}
