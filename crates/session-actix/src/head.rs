//! The headers of a response, for core to write the session's into.

use actix_web::http::header::{
    CACHE_CONTROL, CLEAR_SITE_DATA, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY,
};
use bytes::Bytes;
use session_core::{
    ResponseHeaders,
    adapter::{self, Field, Head},
};

struct Headers<'h>(&'h mut HeaderMap);

impl Head for Headers<'_> {
    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.0.get_all(name(field)).map(HeaderValue::as_bytes)
    }

    fn set(&mut self, field: Field, value: Bytes) -> bool {
        let value = HeaderValue::from_maybe_shared(value);
        value.map(|it| self.0.insert(name(field), it)).is_ok()
    }

    fn add(&mut self, field: Field, value: Bytes) -> bool {
        let value = HeaderValue::from_maybe_shared(value);
        value.map(|it| self.0.append(name(field), it)).is_ok()
    }
}

fn name(field: Field) -> HeaderName {
    match field {
        Field::CacheControl => CACHE_CONTROL,
        Field::ClearSiteData => CLEAR_SITE_DATA,
        Field::SetCookie => SET_COOKIE,
        Field::Vary => VARY,
    }
}

/// Writes the session's headers into a response.
pub(crate) fn write(session: &ResponseHeaders, headers: &mut HeaderMap) {
    adapter::write_head(session, &mut Headers(headers));
}

/// Copies the cookies that others set to the response that replaces theirs.
pub(crate) fn keep_cookies(from: &HeaderMap, to: &mut HeaderMap) {
    let cookies = from.get_all(SET_COOKIE).map(HeaderValue::as_bytes);
    adapter::keep_cookies(cookies, &mut Headers(to));
}
