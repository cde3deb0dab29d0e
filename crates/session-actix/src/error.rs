//! The response for a session's error in a `Box<dyn Error>`: the status and its name. The response
//! for the error itself is in `session-core`, `actix.rs`.

use std::{error, iter};

use actix_web::{
    ResponseError,
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

/// Turns `head` into that of a failed request. Returns the body: the name of the status and nothing
/// else.
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

/// The status for a session's error that is inside of a `Box<dyn Error>`. Actix alone would answer
/// 500 and show the message.
pub(crate) fn boxed(
    error: &actix_web::Error,
    route: impl FnOnce() -> Option<String>,
) -> Option<StatusCode> {
    let outer = error.as_error::<Box<dyn error::Error>>()?;
    let mut causes = iter::successors(Some(&**outer), |error| error.source());
    let status = causes.find_map(status_in)?;
    tracing::warn!(
        status = status.as_u16(),
        error = &**outer,
        route = route(),
        "a session error ended the request"
    );
    Some(status)
}

fn status_in(error: &(dyn error::Error + 'static)) -> Option<StatusCode> {
    let own = error.downcast_ref::<Error>().or_else(|| {
        let actixs = error.downcast_ref::<actix_web::Error>()?;
        actixs.as_error()
    });
    own.map(ResponseError::status_code)
}
