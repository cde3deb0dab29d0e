//! Sessions in streamed bodies: after the head only `save` saves.

use actix_web::{App, HttpRequest, HttpResponse, test, web};
use futures_util::stream;
use session_actix::{Session, SessionExt, SessionMiddleware, session_core::Error};

use crate::{
    browser::{Browser, act, sessions, settings},
    log::Log,
    observed_store::ObservedStore,
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
async fn a_stream_saves_a_session_that_has_a_cookie_and_gets_an_error_if_it_has_none() {
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
    let mut browser = Browser::of(app);
    assert_eq!(browser.get("/stream").await.body, "too late for a cookie");
    browser.get("/set").await;
    assert_eq!(browser.get("/stream").await.body, "Stored");
    assert_eq!(browser.get("/late").await.body, "Some(1)");
}

async fn unsaved(session: Session) -> HttpResponse {
    let chunk = stream::once(async move {
        session.insert("late", &1).unwrap();
        Ok::<_, actix_web::Error>(web::Bytes::new())
    });
    HttpResponse::Ok().streaming(chunk)
}

#[actix_web::test]
async fn an_unsaved_change_in_a_stream_is_logged_with_its_route() {
    let (log, _logging) = Log::of_this_thread();
    let sessions = sessions(settings(), &ObservedStore::default());
    let app = test::init_service(
        App::new()
            .wrap(SessionMiddleware::new(sessions))
            .service(web::scope("/{user}").route("/unsaved", web::get().to(unsaved))),
    )
    .await;
    let mut browser = Browser::of(app);
    browser.get("/ada/unsaved").await;
    let logged = log.text();
    assert!(
        logged.contains("changes=1 route=\"/{user}/unsaved\""),
        "{logged}"
    );
}

async fn logged_out_in_a_stream(session: Session) -> HttpResponse {
    let chunk = stream::once(async move {
        session.log_out();
        session.insert("goodbye", &1).unwrap();
        let saved = session.save().await;
        Ok::<_, actix_web::Error>(web::Bytes::from(format!("{saved:?}")))
    });
    HttpResponse::Ok().streaming(chunk)
}

#[actix_web::test]
async fn a_stream_logs_out_even_if_a_later_change_needs_a_cookie() {
    let sessions = sessions(settings(), &ObservedStore::default());
    let app = test::init_service(
        App::new()
            .wrap(SessionMiddleware::new(sessions))
            .route("/end", web::get().to(logged_out_in_a_stream))
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
    let mut browser = Browser::of(app);
    browser.get("/login").await;
    assert_eq!(browser.get("/end").await.body, "Err(HeadSent)");
    assert_eq!(browser.get("/who").await.body, "None");
}

/// The session is first used in the body, and changed there as the path says.
async fn first_used_in_the_body(request: HttpRequest) -> HttpResponse {
    HttpResponse::Ok().streaming(stream::once(async move {
        let session = request.session().await.unwrap();
        match request.match_info().query("change") {
            "insert" => session.insert("late", &1).unwrap(),
            "renew" => session.renew(),
            "login" => session.log_in("bob").unwrap(),
            "logout" => session.log_out(),
            change => unreachable!("no test requests {change}"),
        }
        let saved = session.save().await;
        Ok::<_, actix_web::Error>(web::Bytes::from(format!("{saved:?}")))
    }))
}

macro_rules! browser_of_bodies {
    ($store:expr) => {
        Browser::of(
            test::init_service(
                App::new()
                    .wrap(SessionMiddleware::new(sessions(settings(), $store)))
                    .route("/body/{change}", web::get().to(first_used_in_the_body))
                    .route("/{act:.*}", web::get().to(act)),
            )
            .await,
        )
    };
}

#[actix_web::test]
async fn a_change_that_needs_a_cookie_is_refused_if_the_session_is_first_used_in_the_body() {
    let store = ObservedStore::default();
    let mut browser = browser_of_bodies!(&store);
    browser.get("/login/ada").await;
    for change in ["renew", "login"] {
        store.calls();
        let response = browser.get(&format!("/body/{change}")).await;
        assert_eq!(response.body, "Err(HeadSent)", "{change}");
        assert_eq!(store.calls(), 1, "{change}: one load, nothing stored");
        assert_eq!(browser.get("/who").await.body, "ada", "{change}");
    }
}

#[actix_web::test]
async fn a_change_that_needs_no_cookie_is_saved_if_the_session_is_first_used_in_the_body() {
    let store = ObservedStore::default();
    let mut browser = browser_of_bodies!(&store);
    browser.get("/login/ada").await;
    let response = browser.get("/body/insert").await;
    assert_eq!(response.body, "Ok(Stored)");
    assert_eq!(browser.get("/get/late").await.body, "1");
    let response = browser.get("/body/logout").await;
    assert!(response.body.starts_with("Ok("), "{}", response.body);
    assert_eq!(browser.get("/who").await.body, "nobody");
}

#[actix_web::test]
async fn a_new_session_in_the_body_is_not_stored() {
    let store = ObservedStore::default();
    let mut browser = browser_of_bodies!(&store);
    for change in ["insert", "login"] {
        let response = browser.get(&format!("/body/{change}")).await;
        assert_eq!(response.body, "Err(HeadSent)", "{change}");
        assert_eq!(store.calls(), 0, "{change}");
    }
}
