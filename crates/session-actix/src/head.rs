//! Writes the headers of a response: the session cookie, `Vary`, `Cache-Control`,
//! `Clear-Site-Data`.

#[cfg(feature = "dbsc")]
use actix_web::http::header::HeaderName;
use actix_web::http::header::{
    CACHE_CONTROL, CLEAR_SITE_DATA, HeaderMap, HeaderValue, SET_COOKIE, VARY,
};
use session_core::ResponseHeaders;
#[cfg(feature = "dbsc")]
use session_core::dbsc::DeviceHeaders;

/// Writes the session's headers into a response.
pub(crate) fn write(session: &ResponseHeaders, headers: &mut HeaderMap) {
    if let Some(cookie) = &session.set_cookie {
        match HeaderValue::try_from(cookie) {
            Ok(value) => {
                headers.append(SET_COOKIE, value);
                forbid_caching(headers);
            }
            Err(error) => {
                tracing::error!(%error, "the session cookie is no valid header value and was not sent: check its domain and path");
            }
        }
    }
    if session.no_store && !headers.contains_key(CACHE_CONTROL) {
        forbid_caching(headers);
    }
    if let Some(data) = &session.clear_site_data
        && !headers.contains_key(CLEAR_SITE_DATA)
        && let Ok(value) = HeaderValue::try_from(data)
    {
        headers.insert(CLEAR_SITE_DATA, value);
    }
    #[cfg(feature = "dbsc")]
    if let Some(device) = &session.device {
        write_device(device, headers);
    }
    if session.vary {
        vary_by_cookie(headers);
    }
}

#[cfg(feature = "dbsc")]
const REGISTRATION: HeaderName = HeaderName::from_static("secure-session-registration");

/// What binds a browser's device after a login, and what removes its cookie with a log-out.
#[cfg(feature = "dbsc")]
fn write_device(device: &DeviceHeaders, headers: &mut HeaderMap) {
    if let Some(offer) = &device.registration
        && let Ok(value) = HeaderValue::try_from(offer)
    {
        headers.insert(REGISTRATION, value);
    }
    if let Some(cookie) = &device.set_cookie
        && let Ok(value) = HeaderValue::try_from(cookie)
    {
        headers.append(SET_COOKIE, value);
    }
}

/// Copies the cookies that others set to the response that replaces theirs. That response is not
/// cached, because one of the cookies may belong to another session.
pub(crate) fn keep_cookies(from: &HeaderMap, to: &mut HeaderMap) {
    for cookie in from.get_all(SET_COOKIE) {
        to.append(SET_COOKIE, cookie.clone());
        forbid_caching(to);
    }
}

/// Session ids must not be cached (OWASP Session Management Cheat Sheet).
fn forbid_caching(headers: &mut HeaderMap) {
    let forbidden = headers
        .get_all(CACHE_CONTROL)
        .any(|value| names(value, "no-store"));
    if !forbidden {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Without this a shared cache gives one visitor's page to another (CVE-2023-30861).
fn vary_by_cookie(headers: &mut HeaderMap) {
    if !headers.contains_key(VARY) {
        headers.insert(VARY, HeaderValue::from_static("Cookie"));
        return;
    }
    if headers
        .get_all(VARY)
        .any(|value| names(value, "cookie") || names(value, "*"))
    {
        return;
    }
    let others: Vec<&[u8]> = headers.get_all(VARY).map(HeaderValue::as_bytes).collect();
    let merged = [&others[..], &[b"Cookie"]].concat().join(&b", "[..]);
    let merged = HeaderValue::from_bytes(&merged).unwrap_or(HeaderValue::from_static("Cookie"));
    headers.insert(VARY, merged);
}

fn names(value: &HeaderValue, name: &str) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}
