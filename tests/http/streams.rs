//! Sessions in streamed bodies: after the head only `save` saves.

use session_core::Error;

use super::{
    Answer,
    browser::{Browser, act, sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};
use crate::framework::{App, Incoming, Session, streamed};

async fn saved_in_the_body(session: Session) -> Answer {
    Answer::new(streamed(async move {
        session.insert("late", &1).unwrap();
        match session.save().await {
            Ok(saved) => format!("{saved:?}"),
            Err(Error::HeadSent) => "too late for a cookie".into(),
            Err(error) => panic!("{error}"),
        }
    }))
}

#[tokio::test]
async fn a_stream_saves_a_session_that_has_a_cookie_and_gets_an_error_if_it_has_none() {
    let app = App::new()
        .route("/stream", saved_in_the_body)
        .route("/{*act}", act)
        .sessions(sessions(settings(), &ObservedStore::default()));
    let mut browser = Browser::of(app).await;
    assert_eq!(browser.get("/stream").await.body, "too late for a cookie");
    browser.get("/set/a").await;
    assert_eq!(browser.get("/stream").await.body, "Stored");
    assert_eq!(browser.get("/get/late").await.body, "1");
}

async fn unsaved(session: Session) -> Answer {
    Answer::new(streamed(async move {
        session.insert("late", &1).unwrap();
        String::new()
    }))
}

#[tokio::test]
async fn an_unsaved_change_in_a_stream_is_logged_with_its_route() {
    let (log, _logging) = Log::of_this_thread();
    let app = App::new()
        .route("/{user}/unsaved", unsaved)
        .sessions(sessions(settings(), &ObservedStore::default()));
    let mut browser = Browser::of(app).await;
    browser.get("/ada/unsaved").await;
    let logged = log.text();
    assert!(
        logged.contains("changes=1 route=\"/{user}/unsaved\""),
        "{logged}"
    );
}

async fn logged_out_in_a_stream(session: Session) -> Answer {
    Answer::new(streamed(async move {
        session.log_out();
        session.insert("goodbye", &1).unwrap();
        format!("{:?}", session.save().await)
    }))
}

#[tokio::test]
async fn a_stream_logs_out_even_if_a_later_change_needs_a_cookie() {
    let app = App::new()
        .route("/end", logged_out_in_a_stream)
        .route("/{*act}", act)
        .sessions(sessions(settings(), &ObservedStore::default()));
    let mut browser = Browser::of(app).await;
    browser.get("/login/ada").await;
    assert_eq!(browser.get("/end").await.body, "Err(HeadSent)");
    assert_eq!(browser.get("/who").await.body, "nobody");
}

/// The session is first used in the body, and changed there as the path says.
async fn first_used_in_the_body(incoming: Incoming) -> Answer {
    Answer::new(streamed(async move {
        let session = incoming.session().await.unwrap();
        match &*incoming.argument() {
            "insert" => session.insert("late", &1).unwrap(),
            "renew" => session.renew(),
            "login" => session.log_in("bob").unwrap(),
            "logout" => session.log_out(),
            change => unreachable!("no test requests {change}"),
        }
        format!("{:?}", session.save().await)
    }))
}

async fn browser_of_bodies(store: &ObservedStore) -> Browser {
    let app = App::new()
        .route("/body/{change}", first_used_in_the_body)
        .route("/{*act}", act)
        .sessions(sessions(settings(), store));
    Browser::of(app).await
}

#[tokio::test]
async fn a_change_that_needs_a_cookie_is_refused_if_the_session_is_first_used_in_the_body() {
    let store = ObservedStore::default();
    let mut browser = browser_of_bodies(&store).await;
    browser.get("/login/ada").await;
    for change in ["renew", "login"] {
        store.calls();
        let response = browser.get(&format!("/body/{change}")).await;
        assert_eq!(response.body, "Err(HeadSent)", "{change}");
        assert_eq!(store.calls(), 1, "{change}: one load, nothing stored");
        assert_eq!(browser.get("/who").await.body, "ada", "{change}");
    }
}

#[tokio::test]
async fn a_change_that_needs_no_cookie_is_saved_if_the_session_is_first_used_in_the_body() {
    let store = ObservedStore::default();
    let mut browser = browser_of_bodies(&store).await;
    browser.get("/login/ada").await;
    let response = browser.get("/body/insert").await;
    assert_eq!(response.body, "Ok(Stored)");
    assert_eq!(browser.get("/get/late").await.body, "1");
    let response = browser.get("/body/logout").await;
    assert!(response.body.starts_with("Ok("), "{}", response.body);
    assert_eq!(browser.get("/who").await.body, "nobody");
}

#[tokio::test]
async fn a_new_session_in_the_body_is_not_stored() {
    let store = ObservedStore::default();
    let mut browser = browser_of_bodies(&store).await;
    for change in ["insert", "login"] {
        let response = browser.get(&format!("/body/{change}")).await;
        assert_eq!(response.body, "Err(HeadSent)", "{change}");
        assert_eq!(store.calls(), 0, "{change}");
    }
}
