//! `?` on a session's call compiles in each kind of handler, and its error has the documented
//! status.

use std::{error::Error, fmt};

use actix_web::{App, HttpMessage as _, HttpResponse, ResponseError, get, http::StatusCode, test};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{self, Sessions},
};

const RESERVED: &str = "__session";

#[get("/actix")]
async fn actix(session: Session) -> actix_web::Result<String> {
    session.insert("a", &1)?;
    session.insert(RESERVED, &1)?;
    Ok(String::new())
}

#[get("/session")]
async fn own(session: Session) -> Result<String, SessionError> {
    let _saved = session.save().await?;
    session.insert(RESERVED, &1)?;
    Ok(String::new())
}

#[get("/boxed")]
async fn boxed(session: Session) -> Result<String, Box<dyn Error>> {
    "1".parse::<u8>()?;
    session.insert(RESERVED, &1)?;
    Ok(String::new())
}

/// An error of the application that may be caused by the session.
#[derive(Debug)]
enum AppError {
    Session(SessionError),
    Number(std::num::ParseIntError),
}

impl From<SessionError> for AppError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<std::num::ParseIntError> for AppError {
    fn from(error: std::num::ParseIntError) -> Self {
        Self::Number(error)
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => write!(f, "the session failed: {error}"),
            Self::Number(error) => write!(f, "no number: {error}"),
        }
    }
}

impl ResponseError for AppError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Session(error) => error.status_code(),
            Self::Number(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Session(error) => error.error_response(),
            Self::Number(_) => HttpResponse::BadRequest().finish(),
        }
    }
}

#[get("/application")]
async fn application(session: Session) -> Result<String, AppError> {
    let number: u8 = "1".parse()?;
    session.insert(RESERVED, &number)?;
    Ok(String::new())
}

#[tokio::test]
async fn a_sessions_error_has_its_status_in_each_kind_of_handler_and_shows_no_message() {
    let app = App::new()
        .wrap(SessionMiddleware::new(Sessions::in_memory()))
        .service((actix, own, boxed, application));
    let app = test::init_service(app).await;
    for path in ["/actix", "/session", "/boxed", "/application"] {
        let request = test::TestRequest::with_uri(path).to_request();
        let response = test::call_service(&app, request).await;
        assert_eq!(response.status().as_u16(), 400, "{path}");
        assert_eq!(test::read_body(response).await, "Bad Request", "{path}");
    }
}

enum Other {}

#[get("/other")]
async fn other(_: Session<Other>) -> &'static str {
    "another session's cookie"
}

#[tokio::test]
async fn a_session_in_the_request_does_not_bypass_the_middleware() {
    // Both have the cookie `session`, so the inner one is refused.
    let app = App::new()
        .wrap(SessionMiddleware::<Other>::named(Sessions::in_memory()))
        .wrap(SessionMiddleware::new(Sessions::in_memory()))
        .service(other);
    let app = test::init_service(app).await;
    let request = test::TestRequest::with_uri("/other").to_request();
    let own_session = Session::<Other>::from(session_core::Session::in_memory());
    request.extensions_mut().insert(own_session);
    let response = test::call_service(&app, request).await;
    assert_eq!(response.status().as_u16(), 500);
}
