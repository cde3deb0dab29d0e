//! The middleware wraps a route twice: one session for clones of one `Sessions`, an error for
//! others with the same cookie name.

use session_core::{CookieAttributes, Sessions, Settings, config::Refresh};

use super::{
    Admin, Answer,
    browser::{Browser, act, sessions, settings},
    observed_store::ObservedStore,
};
use crate::framework::{App, Incoming, Session, SessionError, streamed};

fn with_cookie_name(name: &str) -> Settings {
    settings().with_cookie(CookieAttributes {
        name: name.into(),
        ..CookieAttributes::default()
    })
}

/// `App::counting` uses the session before the handler and after it.
async fn browser_of(outer: Sessions, inner: Sessions) -> Browser {
    let within = App::new().route("/{*act}", act);
    let admins = App::new()
        .route("/both", both)
        .route("/streamed", streamed_by_admin)
        .route("/{*act}", act);
    let app = App::new()
        .nest("/in", within.sessions(inner.clone()))
        .nest("/admin", admins.admin_sessions(inner))
        .route("/{*act}", act)
        .counting()
        .sessions(outer);
    Browser::of(app).await
}

async fn both(session: Session, admin: Session<Admin>) -> Result<String, SessionError> {
    session.insert("a", &1)?;
    Ok(format!("{:?}", admin.get::<i64>("a")?))
}

async fn streamed_by_admin(incoming: Incoming) -> Answer {
    Answer::new(streamed(async move {
        match incoming.admin_session().await {
            Ok(session) => format!("{:?}", session.get::<i64>("hits")),
            Err(error) => error.to_string(),
        }
    }))
}

#[tokio::test]
async fn the_middleware_twice_has_one_session() {
    let store = ObservedStore::default();
    let both = sessions(settings(), &store);
    let mut browser = browser_of(both.clone(), both).await;
    let response = browser.get("/in/set/a").await;
    assert_eq!(response.set_cookies().len(), 1);
    assert_eq!(store.calls(), 1, "one insert");
    assert_eq!(browser.get("/in/get/a").await.body, "1");
    assert_eq!(store.calls(), 2, "one load, one update");
    browser.get("/in/login/ada").await;
    assert_eq!(browser.get("/who").await.body, "ada");
    assert_eq!(browser.get("/in/get/hits").await.body, "5");
    browser.get("/in/logout").await;
    assert_eq!(browser.get("/in/who").await.body, "nobody");
}

#[tokio::test]
async fn the_middleware_twice_refreshes_once() {
    let store = ObservedStore::default();
    let both = sessions(settings().with_refresh(Refresh::EveryRequest), &store);
    let mut browser = browser_of(both.clone(), both).await;
    browser.get("/in/set/a").await;
    store.calls();
    assert_eq!(browser.get("/in/get/a").await.set_cookies().len(), 1);
    assert_eq!(store.calls(), 2, "one load, one update");
}

#[tokio::test]
async fn the_same_sessions_under_two_names_have_one_session() {
    let store = ObservedStore::default();
    let same = sessions(settings(), &store);
    let mut browser = browser_of(same.clone(), same).await;
    let response = browser.get("/admin/both").await;
    assert_eq!(response.body, "Some(1)");
    assert_eq!(response.set_cookies().len(), 1);
    assert_eq!(browser.get("/admin/streamed").await.body, "Ok(Some(2))");
}

#[tokio::test]
async fn other_sessions_with_the_same_cookie_name_are_refused_when_used() {
    let store = ObservedStore::default();
    let every = settings().with_refresh(Refresh::EveryRequest);
    let (outer, inner) = (sessions(settings(), &store), sessions(every, &store));
    let mut browser = browser_of(outer, inner).await;
    for path in ["/in/set/a", "/admin/both"] {
        let response = browser.get(path).await;
        assert_eq!(
            (response.status.as_u16(), &*response.body),
            (500, "Internal Server Error"),
            "{path}"
        );
        assert_eq!(
            response.set_cookies().len(),
            usize::from(path == "/in/set/a"),
            "{path}"
        );
    }
    // A handler that does not use that session is not affected.
    assert_eq!(browser.get("/admin/set/a").await.status.as_u16(), 200);
    assert_eq!(browser.get("/get/a").await.body, "1");
    let text = browser.get("/admin/streamed").await.body;
    for part in [
        "the cookie __Host-session",
        "name of its own",
        "clones of one Sessions",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn other_sessions_with_their_own_cookie_name_are_used_where_they_wrap() {
    let (store, inners) = (ObservedStore::default(), ObservedStore::default());
    let inner = sessions(with_cookie_name("__Host-other"), &inners);
    let mut browser = browser_of(sessions(settings(), &store), inner).await;
    // `counting` uses the outer session before and after the handler.
    let response = browser.get("/in/set/a").await;
    assert_eq!(response.cookie_names(), ["__Host-other", "__Host-session"]);
    assert_eq!(response.header("hits"), Some("1"));
    assert_eq!(browser.get("/get/a").await.body, "none");
}
