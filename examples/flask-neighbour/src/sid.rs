//! The id in an answer, which only this example shows, because tests compare it: it opens the
//! session.
//!
//! The library hands it to nobody, so it is read where the browser has it: in the cookies.

use actix_server_sessions::session_core::{SessionId, Sessions};
use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{COOKIE, HeaderMap, SET_COOKIE},
    middleware::Next,
};
use serde_json::json;

use crate::state::State;

/// The name of the session's cookie.
#[derive(Clone)]
pub(crate) struct CookieName(String);

impl CookieName {
    pub(crate) fn of(sessions: &Sessions) -> Self {
        Self(sessions.settings().cookie().name.clone())
    }
}

pub(crate) async fn show(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let CookieName(name) = request.app_data().cloned().expect("the application has it");
    let presented = presented(request.headers(), &name);
    let mut response = next.call(request).await?.map_into_boxed_body();
    let state = response.response_mut().extensions_mut().remove::<State>();
    let Some(state) = state else {
        return Ok(response);
    };
    let sid = sent(response.headers(), &name)
        .or_else(|| presented.filter(|_| state.stored))
        // Flask shows an id that it made for a session which nobody stored.
        .unwrap_or_else(|| {
            SessionId::random(SessionId::DEFAULT_BYTES)
                .as_str()
                .to_owned()
        });
    let body = json!({ "sid": sid, "session": state.session, "permanent": state.permanent });
    Ok(response.map_body(|_, _| BoxBody::new(body.to_string())))
}

/// The id in the first cookie of that name.
fn presented(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get(COOKIE)?.to_str().ok()?.split(';');
    cookies
        .filter_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
        .map(id)
        .next()
}

/// The id in the cookie that the response sets.
fn sent(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(SET_COOKIE);
    cookies
        .filter_map(|cookie| cookie.to_str().ok()?.strip_prefix(name)?.strip_prefix('='))
        .map(|rest| id(rest.split(';').next().unwrap_or_default()))
        .find(|id| !id.is_empty())
}

/// A cookie's value without its signature.
fn id(value: &str) -> String {
    value.split('.').next().unwrap_or_default().to_owned()
}
