//! Errors as responses of the crate `http`, and its headers.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName,
    header::{CACHE_CONTROL, SET_COOKIE, VARY},
};
use http::{
    HeaderValue, Response, StatusCode,
    header::{LOCATION, RETRY_AFTER},
};

use crate::Error;
use crate::adapter::{Field, Head, Refusal};

impl Error {
    /// The response to a request that this error ended: the status and its name, and nothing of the
    /// cause, which goes to the log.
    pub fn to_response<B: From<String>>(&self) -> Response<B> {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        tracing::warn!(
            status = status.as_u16(),
            error = self as &dyn std::error::Error,
            "a session error ended the request"
        );
        let body = status.canonical_reason().unwrap_or_default().to_owned();
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl Refusal {
    /// The response.
    pub fn to_response<B: From<String>>(&self) -> Response<B> {
        match self {
            Self::Error(error) => error.to_response(),
            Self::Redirect(form) => {
                let mut response = Response::new(String::new().into());
                *response.status_mut() = StatusCode::SEE_OTHER;
                if let Ok(form) = HeaderValue::try_from(form) {
                    response.headers_mut().insert(LOCATION, form);
                }
                response
            }
            #[cfg(feature = "dbsc")]
            Self::Explanation(text) => {
                with_body(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", text)
            }
            #[cfg(feature = "dbsc")]
            Self::OpenAgain(page) => with_body(StatusCode::OK, "text/html; charset=utf-8", page),
        }
    }
}

#[cfg(feature = "dbsc")]
fn with_body<B: From<String>>(
    status: StatusCode,
    content_type: &'static str,
    body: &str,
) -> Response<B> {
    let mut response = Response::new(body.to_owned().into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, content_type);
    response
}

#[cfg(feature = "dbsc")]
impl crate::dbsc::DeviceAnswer {
    /// The response.
    pub fn to_response<B: From<String>>(&self) -> Response<B> {
        let mut response = Response::new(self.body.clone().unwrap_or_default().into());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

impl Head for HeaderMap {
    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.get_all(name(field))
            .into_iter()
            .map(HeaderValue::as_bytes)
    }

    fn set(&mut self, field: Field, value: Bytes) -> bool {
        HeaderValue::from_maybe_shared(value)
            .map(|value| self.insert(name(field), value))
            .is_ok()
    }

    fn set_static(&mut self, field: Field, value: &'static str) {
        self.insert(name(field), HeaderValue::from_static(value));
    }

    fn set_named(&mut self, name: &str, value: Bytes) -> bool {
        let name = HeaderName::try_from(name);
        match (name, HeaderValue::from_maybe_shared(value)) {
            (Ok(name), Ok(value)) => {
                self.insert(name, value);
                true
            }
            _ => false,
        }
    }

    fn add(&mut self, field: Field, value: Bytes) -> bool {
        HeaderValue::from_maybe_shared(value)
            .map(|value| self.append(name(field), value))
            .is_ok()
    }
}

fn name(field: Field) -> HeaderName {
    match field {
        Field::CacheControl => CACHE_CONTROL,
        Field::ClearSiteData => HeaderName::from_static("clear-site-data"),
        #[cfg(feature = "dbsc")]
        Field::SecureSessionRegistration => HeaderName::from_static("secure-session-registration"),
        Field::SetCookie => SET_COOKIE,
        Field::Vary => VARY,
    }
}
