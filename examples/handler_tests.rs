//! Tests of handlers with a `#[get]` macro: through the middleware, without it, and of a session
//! alone.

use actix_web::{
    App, HttpMessage as _, HttpResponse, get,
    http::StatusCode,
    post,
    test::{TestRequest, call_and_read_body, call_service, init_service},
};
use session_actix::{Session, SessionError, SessionMiddleware, session_core::Sessions};

fn count_page(session: &Session) -> Result<u32, SessionError> {
    session.update("visits", |n: Option<u32>| n.unwrap_or(0) + 1)
}

#[get("/account")]
async fn account(session: Session) -> Result<HttpResponse, SessionError> {
    let Some(owner) = session.owner() else {
        return Ok(HttpResponse::Unauthorized().finish());
    };
    let visits = count_page(&session)?;
    Ok(HttpResponse::Ok().body(format!("{owner}, visit {visits}")))
}

#[post("/logout")]
async fn log_out(session: Session) -> HttpResponse {
    session.log_out();
    HttpResponse::NoContent().finish()
}

#[actix_web::test]
async fn an_anonymous_client_gets_no_account() {
    let app = App::new()
        .wrap(SessionMiddleware::new(Sessions::in_memory()))
        .service(account);
    let app = init_service(app).await;
    let response = call_service(&app, TestRequest::get().uri("/account").to_request()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn a_user_sees_the_account_until_the_log_out() -> actix_web::Result<()> {
    let sessions = Sessions::in_memory();
    let app = App::new()
        .wrap(SessionMiddleware::new(sessions.clone()))
        .service((account, log_out));
    let app = init_service(app).await;
    let ada = sessions.cookie_of(|session| session.log_in("ada")).await?;
    let get = || {
        TestRequest::get()
            .uri("/account")
            .insert_header(("cookie", ada.as_str()))
            .to_request()
    };
    assert_eq!(call_and_read_body(&app, get()).await, "ada, visit 1");
    assert_eq!(call_and_read_body(&app, get()).await, "ada, visit 2");
    let request = TestRequest::post()
        .uri("/logout")
        .insert_header(("cookie", ada.as_str()))
        .to_request();
    assert_eq!(
        call_service(&app, request).await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        call_service(&app, get()).await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert!(sessions.owner_sessions("ada").await?.is_empty());
    Ok(())
}

#[actix_web::test]
async fn without_the_middleware_the_request_holds_the_session() -> actix_web::Result<()> {
    let app = init_service(App::new().service(account)).await;
    let session = Session::in_memory();
    session.log_in("bob")?;
    let request = TestRequest::get().uri("/account").to_request();
    request.extensions_mut().insert(session.clone());
    assert_eq!(call_and_read_body(&app, request).await, "bob, visit 1");
    assert_eq!(session.get::<u32>("visits")?, Some(1));
    Ok(())
}

#[test]
fn a_session_alone() -> Result<(), SessionError> {
    let session = Session::in_memory();
    assert_eq!(count_page(&session)?, 1);
    assert_eq!(count_page(&session)?, 2);
    session.log_out();
    assert_eq!(session.get::<u32>("visits")?, None);
    Ok(())
}
