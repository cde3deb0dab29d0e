//! Errors as pages in the site's style, for browsers. Scripts get what the routes answer.

use actix_web::{
    Error, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ResponseHead, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        StatusCode,
        header::{ACCEPT, CONTENT_TYPE, ContentType, TryIntoHeaderValue as _},
    },
    middleware::Next,
    web::Data,
};
use maud::{Markup, html};

use crate::{
    error::ApiError,
    own_store::{self, OwnStore},
    page::document,
};

/// Answers an error with a page, if the client asks for HTML.
pub(crate) async fn error_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let accepts = request.headers().get(ACCEPT);
    let is_browser = accepts.is_some_and(|it| it.as_bytes().starts_with(b"text/html"));
    if !is_browser {
        return next
            .call(request)
            .await
            .map(ServiceResponse::map_into_boxed_body);
    }
    let own = request.app_data::<Data<OwnStore>>().is_some();
    match next.call(request).await {
        Ok(response) if is_error(response.status()) => {
            let message = message(response.response().error());
            Ok(response.map_body(|head, _| page_for(head, message, own)))
        }
        Ok(response) => Ok(response.map_into_boxed_body()),
        Err(error) => {
            let message = message(Some(&error));
            let mut response = HttpResponse::from_error(error);
            let page = page_for(response.head_mut(), message, own);
            Err(InternalError::from_response("", response.set_body(page)).into())
        }
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// What one of the demo's routes says about its error.
fn message(error: Option<&Error>) -> Option<&'static str> {
    error?.as_error::<ApiError>()?.message()
}

/// The page of an error with this head and message. The head then says that it is a page. `own`: the
/// store is one that the page can start.
fn page_for(head: &mut ResponseHead, message: Option<&str>, own: bool) -> BoxBody {
    if let Ok(html) = ContentType::html().try_into_value() {
        head.headers_mut().insert(CONTENT_TYPE, html);
    }
    BoxBody::new(page_of(head.status, message, own).into_string())
}

/// The answer to a path that no route has.
pub(crate) async fn no_such_page() -> HttpResponse {
    HttpResponse::NotFound().finish()
}

fn page_of(status: StatusCode, message: Option<&str>, own: bool) -> Markup {
    let (title, text) = match status {
        StatusCode::SERVICE_UNAVAILABLE => (
            "The session store does not answer",
            "Nothing is lost: your session and your cookie are as they were, and you will find them so \
             once the store is back.",
        ),
        StatusCode::NOT_FOUND => ("There is no such page", "The address may be mistyped."),
        StatusCode::FORBIDDEN => (
            "This was refused",
            "Another site sent this request, or the user has too many sessions.",
        ),
        StatusCode::CONFLICT => (
            "Something else was first",
            "Another request renewed this session meanwhile. Open the page again.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "That is too large",
            "The session was not changed; what it held before is still there.",
        ),
        _ => (
            status.canonical_reason().unwrap_or("An error"),
            if status.is_server_error() {
                "The log of the demo says more."
            } else {
                "The demo cannot do what was asked for."
            },
        ),
    };
    document(
        title,
        &html! {
            header { h1 { (title) } span.soft { (status.as_str()) } }
            section {
                @match message {
                    Some(message) => p.sentence { (message) "." },
                    None => p { (text) },
                }
                @if own && status == StatusCode::SERVICE_UNAVAILABLE { (own_store::start_button()) }
                @else { a.next href="/" { "To the page of the demo" } }
            }
        },
    )
}
