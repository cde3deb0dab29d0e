//! Errors as answers of Actix Web, so that `?` on a session's call compiles in each of its
//! handlers, and its headers.
//!
//! It is here and not in the adapter because only the crate of the error and of the trait may say
//! so.

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{
            CACHE_CONTROL, CLEAR_SITE_DATA, HeaderMap, HeaderName, HeaderValue, LOCATION,
            RETRY_AFTER, SET_COOKIE, VARY,
        },
    },
};
use bytes::Bytes;

use crate::{
    Error,
    adapter::{Field, Head, Refusal},
};

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The status and its name, and nothing of the cause, which goes to the log.
    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        tracing::warn!(
            status = status.as_u16(),
            error = self as &dyn std::error::Error,
            "a session error ended the request"
        );
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, "1"));
        }
        response.body(status.canonical_reason().unwrap_or_default())
    }
}

impl Refusal {
    /// The response.
    pub fn actix_response(&self) -> HttpResponse {
        match self {
            Self::Error(error) => error.error_response(),
            Self::Redirect(form) => HttpResponse::SeeOther()
                .insert_header((LOCATION, form.as_str()))
                .finish(),
            #[cfg(feature = "dbsc")]
            Self::Explanation(text) => HttpResponse::Forbidden()
                .content_type(actix_web::http::header::ContentType::plaintext())
                .body(*text),
            #[cfg(feature = "dbsc")]
            Self::OpenAgain(page) => HttpResponse::Ok()
                .content_type(actix_web::http::header::ContentType::html())
                .body(*page),
        }
    }
}

#[cfg(feature = "dbsc")]
impl crate::dbsc::DeviceAnswer {
    /// The response.
    pub fn actix_response(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut response = HttpResponse::build(status);
        for header in self.headers() {
            response.append_header(header);
        }
        response.body(self.body.clone().unwrap_or_default())
    }
}

impl Head for HeaderMap {
    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.get_all(name(field)).map(HeaderValue::as_bytes)
    }

    fn set(&mut self, field: Field, value: Bytes) -> bool {
        let value = HeaderValue::from_maybe_shared(value);
        value.map(|it| self.insert(name(field), it)).is_ok()
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
        let value = HeaderValue::from_maybe_shared(value);
        value.map(|it| self.append(name(field), it)).is_ok()
    }
}

fn name(field: Field) -> HeaderName {
    match field {
        Field::CacheControl => CACHE_CONTROL,
        Field::ClearSiteData => CLEAR_SITE_DATA,
        #[cfg(feature = "dbsc")]
        Field::SecureSessionRegistration => HeaderName::from_static("secure-session-registration"),
        Field::SetCookie => SET_COOKIE,
        Field::Vary => VARY,
    }
}
