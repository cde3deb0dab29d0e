//! The session in other middleware, in guards, and in tests of handlers.

use std::time::Duration;

use actix_web::{
    App, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    guard::fn_guard,
    http::header::COOKIE,
    middleware::{Next, from_fn},
    test, web,
};
use session_actix::{CrossSiteGuard, Session, SessionError, SessionExt, SessionMiddleware};

use crate::suite::{
    browser::{browser, sessions, sessions_at, settings},
    log::Log,
    observed_store::ObservedStore,
    test_clock::TestClock,
};

/// In seconds.
const DAY: u64 = 86_400;

#[tokio::test]
async fn a_guard_against_other_sites_names_the_route() {
    let app = test::init_service(
        App::new()
            .wrap(CrossSiteGuard::default())
            .route("/set/{key}", web::post().to(async || "set")),
    )
    .await;
    let (log, _logging) = Log::of_this_thread();
    let request = test::TestRequest::post().uri("/set/a");
    let request = request.insert_header(("Sec-Fetch-Site", "cross-site"));
    let refused = test::try_call_service(&app, request.to_request()).await;
    assert_eq!(refused.unwrap_err().error_response().status().as_u16(), 403);
    let events = log.security_events();
    assert!(events[0].contains("route=\"/set/{key}\""), "{events:?}");
}

async fn count_visits(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let session = request.session().await?;
    session.update("visits", |n: Option<i64>| n.unwrap_or(0) + 1)?;
    next.call(request).await
}

#[tokio::test]
async fn other_middleware_shares_the_session_with_handlers_and_guards() {
    let app = test::init_service(
        App::new()
            .wrap(from_fn(count_visits))
            .wrap(SessionMiddleware::new(sessions(
                settings(),
                &ObservedStore::default(),
            )))
            .service(
                web::resource("/")
                    .guard(fn_guard(|context| {
                        Session::<session_actix::DefaultSession>::of_guard(context)
                            .is_some_and(|session| session.contains("visits"))
                    }))
                    .to(|session: Session| async move {
                        HttpResponse::Ok().body(format!("{:?}", session.get::<i64>("visits")))
                    }),
            ),
    )
    .await;
    let response = test::call_service(&app, test::TestRequest::default().to_request()).await;
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.headers().contains_key("set-cookie"));
    assert_eq!(test::read_body(response).await, "Ok(Some(1))");
}

#[tokio::test]
async fn a_handler_is_tested_with_a_session_in_memory() {
    #[expect(clippy::unused_async, reason = "a handler is async")]
    async fn greet(session: Session) -> Result<String, SessionError> {
        session.insert("greeted", &true)?;
        Ok(format!(
            "hello {}",
            session.owner().as_deref().unwrap_or("stranger")
        ))
    }
    let session = Session::in_memory();
    session.log_in("ada").unwrap();
    assert_eq!(greet(session.clone()).await.unwrap(), "hello ada");
    assert_eq!(session.get("greeted").unwrap(), Some(true));
}

/// A handler reads a slow upload, and then asks for its session.
#[actix_web::test]
async fn what_counts_is_when_a_request_arrived_and_not_when_it_asks_for_its_session() {
    let clock = TestClock::default();
    let sessions = sessions_at(
        settings().with_rotation(Duration::from_secs(DAY)),
        &clock.store(),
        clock.clock(),
    );
    let mut browser = browser(sessions.clone()).await.at(clock.clock());
    browser.get("/login/ada").await;
    let old = browser.cookie();
    clock.advance(DAY);
    browser.get("/who").await;
    browser.get("/who").await;
    let time = clock.clone();
    let upload = move |request: HttpRequest| {
        time.advance(30);
        async move {
            let owner = request.session().await?.owner();
            Ok::<_, SessionError>(owner.as_deref().unwrap_or("nobody").to_owned())
        }
    };
    let app = App::new()
        .wrap(SessionMiddleware::new(sessions))
        .route("/upload", web::get().to(upload));
    let app = test::init_service(app).await;
    for owner in ["ada", "nobody"] {
        let request = test::TestRequest::get().uri("/upload");
        let request = request.insert_header((COOKIE, old.clone())).to_request();
        assert_eq!(test::call_and_read_body(&app, request).await, owner);
    }
}
