//! Rotation, over HTTP: the id changes by itself, and no request of the browser is anonymous.

use std::time::Duration;

use actix_web::{
    App, HttpRequest,
    http::header::COOKIE,
    test::{TestRequest, call_and_read_body, init_service},
    web,
};
use session_actix::{SessionError, SessionExt, SessionMiddleware, session_core::Settings};

use crate::{
    browser::{browser, sessions_at, settings},
    log::Log,
    test_clock::TestClock,
};

const DAY: u64 = 86_400;

fn rotating() -> Settings {
    settings().with_rotation(Duration::from_secs(DAY))
}

#[actix_web::test]
async fn the_cookie_changes_once_a_day_and_the_old_one_goes_on_for_a_while() {
    let clock = TestClock::default();
    let store = clock.store();
    let mut browser = browser(sessions_at(rotating(), &store, clock.clock()))
        .await
        .at(clock.clock());
    browser.get("/login/ada").await;
    clock.advance(DAY - 1);
    assert!(browser.get("/who").await.set_cookies().is_empty());
    let old = browser.cookie();
    clock.advance(1);
    let rotated = browser.get("/increment/n").await;
    let new = rotated.set_cookies();
    assert_eq!(new.len(), 1);
    assert_eq!(rotated.header("cache-control"), Some("no-store"));
    assert_ne!(browser.cookie(), old);

    // Requests that were under way, one after the other: each gets the same cookie.
    for path in ["/who", "/increment/n", "/fail/a"] {
        let late = browser.send(path, Some(old.clone().into())).await;
        assert_eq!(late.set_cookies().len(), 1, "{path}");
        assert!(late.set_cookies()[0].starts_with(&browser.cookie()));
    }
    assert_eq!(browser.get("/who").await.body, "ada");
    for passed in [0, 29] {
        clock.advance(passed);
        let late = browser.send("/increment/n", Some(old.clone().into())).await;
        assert_eq!((late.status.as_u16(), late.set_cookies().len()), (200, 0));
    }
    clock.advance(1);
    let refused = browser.send("/who", Some(old.clone().into())).await;
    assert_eq!(refused.body, "nobody");
    let refused = browser.send("/increment/n", Some(old.into())).await;
    assert_eq!(refused.status.as_u16(), 409);
    assert_eq!(browser.get("/get/n").await.body, "4");
}

#[actix_web::test]
async fn its_events_have_their_names_and_fields_and_no_id() {
    let (log, _guard) = Log::of_this_thread();
    let clock = TestClock::default();
    let store = clock.store();
    let settings = rotating().with_rotated_id_ending_session(true);
    let sessions = sessions_at(settings, &store, clock.clock());
    let mut browser = browser(sessions.clone()).await.at(clock.clock());
    browser.get("/login/ada").await;
    let lineage = *sessions.owner_sessions("ada").await.unwrap()[0].lineage();
    let old = browser.cookie();
    clock.advance(DAY);
    log.security_events();
    browser.get("/who").await;
    let named = |level: &str, event: &str| format!("{level} event=\"{event}\" lineage={lineage}");
    assert_eq!(log.security_events(), [named("INFO", "rotation")]);
    browser.get("/who").await;
    clock.advance(30);
    let refused = browser.send("/who", Some(old.clone().into())).await;
    assert_eq!(
        (refused.body.as_str(), refused.set_cookies().len()),
        ("nobody", 0)
    );
    let text = log.text();
    let events = [
        named("WARN", "rotated_id") + " suppressed=0",
        named("INFO", "log_out"),
    ];
    assert_eq!(log.security_events(), events);
    for cookie in [old, browser.cookie()] {
        let id = cookie.split(['=', '.']).nth(1).unwrap();
        assert!(!text.contains(id));
    }
    assert_eq!(browser.get("/who").await.body, "nobody");
}

/// A handler reads a slow upload, and then asks for its session.
#[actix_web::test]
async fn what_counts_is_when_a_request_arrived_and_not_when_it_asks_for_its_session() {
    let clock = TestClock::default();
    let sessions = sessions_at(rotating(), &clock.store(), clock.clock());
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
    let app = init_service(app).await;
    for owner in ["ada", "nobody"] {
        let request = TestRequest::get().uri("/upload");
        let request = request.insert_header((COOKIE, old.clone())).to_request();
        assert_eq!(call_and_read_body(&app, request).await, owner);
    }
}
