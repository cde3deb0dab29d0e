use std::{error, fmt, iter};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    dev::ResponseHead,
    http::{
        StatusCode,
        header::{
            CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED,
            RETRY_AFTER,
        },
    },
};
use session_core::Error;

/// An error of the session as an answer: a status and nothing of its cause, which goes to the log.
///
/// `?` in a handler turns every [`session_core::Error`] into it.
#[derive(Debug)]
pub struct SessionError {
    cause: Cause,
    /// The pattern of the route, where it is known: for the log.
    route: Option<Box<str>>,
}

#[derive(Debug)]
enum Cause {
    Core(Error),
    NoMiddleware,
    /// Other sessions around the route have a cookie of this name.
    CookieInUse(Box<str>),
}

impl SessionError {
    /// What went wrong; `None` if no middleware of this session wraps the route, or two sessions around it share a cookie.
    pub fn cause(&self) -> Option<&Error> {
        match &self.cause {
            Cause::Core(error) => Some(error),
            Cause::NoMiddleware | Cause::CookieInUse(_) => None,
        }
    }

    pub(crate) fn no_middleware() -> Self {
        Cause::NoMiddleware.into()
    }

    pub(crate) fn cookie_in_use(name: &str) -> Self {
        Cause::CookieInUse(name.into()).into()
    }

    /// The same error, whose line in the log names the route.
    pub(crate) fn at(mut self, route: Option<String>) -> Self {
        self.route = self.route.or(route.map(Into::into));
        self
    }
}

impl From<Error> for SessionError {
    fn from(error: Error) -> Self {
        Cause::Core(error).into()
    }
}

impl From<Cause> for SessionError {
    fn from(cause: Cause) -> Self {
        Self { cause, route: None }
    }
}

impl ResponseError for SessionError {
    fn status_code(&self) -> StatusCode {
        match &self.cause {
            Cause::Core(error) => status_of(error),
            Cause::NoMiddleware | Cause::CookieInUse(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        log(status, self, self.route.as_deref());
        HttpResponse::new(status).map_body(|head, _| fail(head, status))
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Conflict => StatusCode::CONFLICT,
        Error::NoOwnerIndex | Error::FlaskOwners => StatusCode::NOT_IMPLEMENTED,
        Error::ReservedKey | Error::OwnerTooLong { .. } => StatusCode::BAD_REQUEST,
        Error::HeadSent | Error::Reentrant | Error::Encode { .. } | Error::Decode { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn log(status: StatusCode, error: &(dyn error::Error + 'static), route: Option<&str>) {
    tracing::warn!(
        status = status.as_u16(),
        error,
        route,
        "a session failed its request"
    );
}

/// Makes `head` that of a failure and gives its body: the status's name, nothing else.
pub(crate) fn fail(head: &mut ResponseHead, status: StatusCode) -> BoxBody {
    head.status = status;
    for of_the_body in [
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        ETAG,
        LAST_MODIFIED,
    ] {
        head.headers.remove(of_the_body);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        head.headers
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    BoxBody::new(status.canonical_reason().unwrap_or_default())
}

/// The status that belongs to a failure of the session in a `Box<dyn Error>`, of which Actix makes a 500 that shows the
/// message.
pub(crate) fn boxed(
    error: &actix_web::Error,
    route: impl FnOnce() -> Option<String>,
) -> Option<StatusCode> {
    let outer = error.as_error::<Box<dyn error::Error>>()?;
    let mut causes = iter::successors(Some(&**outer), |error| error.source());
    let status = causes.find_map(status_in)?;
    log(status, &**outer, route().as_deref());
    Some(status)
}

fn status_in(error: &(dyn error::Error + 'static)) -> Option<StatusCode> {
    if let Some(error) = error.downcast_ref::<Error>() {
        return Some(status_of(error));
    }
    let session = error.downcast_ref::<SessionError>().or_else(|| {
        let actixs = error.downcast_ref::<actix_web::Error>()?;
        actixs.as_error()
    });
    session.map(SessionError::status_code)
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Core(error) => fmt::Display::fmt(error, f),
            Cause::NoMiddleware => {
                f.write_str("no SessionMiddleware of this session wraps the route")
            }
            Cause::CookieInUse(name) => write!(
                f,
                "other sessions around the route have the cookie {name} too; give each a cookie name of its own, or wrap \
                 both places with clones of one Sessions"
            ),
        }
    }
}

impl error::Error for SessionError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.cause().and_then(error::Error::source)
    }
}
