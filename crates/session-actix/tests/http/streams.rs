//! Sessions in streamed bodies: after the head, `save` is what saves.

use actix_web::{App, HttpResponse, test, web};
use futures_util::stream;
use session_actix::{Session, SessionMiddleware, session_core::Error};

use crate::{
    browser::{Browser, sessions, settings},
    observed::ObservedStore,
};

async fn streamed(session: Session) -> HttpResponse {
    let chunk = stream::once(async move {
        session.insert("late", &1).unwrap();
        let saved = match session.save().await {
            Ok(saved) => format!("{saved:?}"),
            Err(Error::HeadSent) => "too late for a cookie".into(),
            Err(error) => panic!("{error}"),
        };
        Ok::<_, actix_web::Error>(web::Bytes::from(saved))
    });
    HttpResponse::Ok().streaming(chunk)
}

#[actix_web::test]
async fn a_stream_saves_into_a_session_that_has_a_cookie_and_is_told_if_it_has_none() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let app = test::init_service(
        App::new()
            .wrap(SessionMiddleware::new(sessions))
            .route("/stream", web::get().to(streamed))
            .route(
                "/set",
                web::get().to(|session: Session| async move {
                    session.insert("a", &1).unwrap();
                    ""
                }),
            )
            .route(
                "/late",
                web::get().to(|session: Session| async move {
                    format!("{:?}", session.get::<i64>("late").unwrap())
                }),
            ),
    )
    .await;
    let mut browser = Browser::before(app);
    assert_eq!(browser.get("/stream").await.body, "too late for a cookie");
    browser.get("/set").await;
    assert_eq!(browser.get("/stream").await.body, "Stored");
    assert_eq!(browser.get("/late").await.body, "Some(1)");
}

async fn ended_in_a_stream(session: Session) -> HttpResponse {
    let chunk = stream::once(async move {
        session.destroy();
        session.insert("goodbye", &1).unwrap();
        let saved = session.save().await;
        Ok::<_, actix_web::Error>(web::Bytes::from(format!("{saved:?}")))
    });
    HttpResponse::Ok().streaming(chunk)
}

#[actix_web::test]
async fn a_stream_ends_a_session_even_if_what_follows_needs_a_cookie() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let app = test::init_service(
        App::new()
            .wrap(SessionMiddleware::new(sessions))
            .route("/end", web::get().to(ended_in_a_stream))
            .route(
                "/login",
                web::get().to(|session: Session| async move {
                    session.log_in("ada").unwrap();
                    ""
                }),
            )
            .route(
                "/who",
                web::get().to(|session: Session| async move { format!("{:?}", session.owner()) }),
            ),
    )
    .await;
    let mut browser = Browser::before(app);
    browser.get("/login").await;
    assert_eq!(browser.get("/end").await.body, "Err(HeadSent)");
    assert_eq!(browser.get("/who").await.body, "None");
}
