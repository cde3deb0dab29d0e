//! Handlers that call `save`, and a store that fails afterwards: the head carries what is known to
//! be stored.

use super::{
    Answer,
    browser::{Browser, act, sessions, settings},
    observed_store::ObservedStore,
};
use crate::framework::{App, Incoming, Session, SessionError};

type HandlerResult = Result<Answer, SessionError>;

async fn log_in_then_fail(session: Session, incoming: Incoming) -> HandlerResult {
    session.log_in("ada")?;
    let _saved = session.save().await?;
    incoming.store().set_down(true);
    session.insert("cart", &1)?;
    Ok(Answer::ok())
}

async fn log_out_then_fail(session: Session, incoming: Incoming) -> HandlerResult {
    session.log_out();
    let _saved = session.save().await?;
    incoming.store().set_down(true);
    session.insert("cart", &1)?;
    Ok(Answer::ok())
}

async fn log_in_then_fail_to_log_out(session: Session, incoming: Incoming) -> HandlerResult {
    session.log_in("ada")?;
    let _saved = session.save().await?;
    incoming.store().set_down(true);
    session.log_out();
    Ok(Answer::ok())
}

async fn log_out_and_fail_to_insert(session: Session, incoming: Incoming) -> HandlerResult {
    session.log_out();
    incoming.store().fail_inserts();
    session.insert("cart", &1)?;
    Ok(Answer::ok())
}

async fn browser_of(store: &ObservedStore) -> Browser {
    let app = App::new()
        .route("/half-in", log_in_then_fail)
        .route("/half-out", log_out_then_fail)
        .route("/in-and-out", log_in_then_fail_to_log_out)
        .route("/out-and-in", log_out_and_fail_to_insert)
        .route("/{*act}", act)
        .sessions(sessions(settings(), store))
        .store(store);
    Browser::of(app).await
}

#[tokio::test]
async fn a_login_that_was_saved_reaches_the_browser_although_a_later_save_fails() {
    let store = ObservedStore::default();
    let mut browser = browser_of(&store).await;
    browser.get("/set/a").await;
    let response = browser.get("/half-in").await;
    assert_eq!(response.status.as_u16(), 503);
    assert_eq!(response.set_cookies().len(), 1, "the cookie of the login");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    store.set_down(false);
    assert_eq!(browser.get("/who").await.body, "ada");
    assert_eq!(browser.get("/get/a").await.body, "1");
    assert_eq!(browser.get("/get/cart").await.body, "none");
}

#[tokio::test]
async fn a_logout_that_was_saved_removes_the_cookie_although_a_later_save_fails() {
    let store = ObservedStore::default();
    let mut browser = browser_of(&store).await;
    browser.get("/login/ada").await;
    let response = browser.get("/half-out").await;
    assert_eq!(response.status.as_u16(), 503);
    assert!(response.set_cookies()[0].contains("Max-Age=0"));
}

#[tokio::test]
async fn a_logout_that_was_not_confirmed_removes_no_cookie() {
    let store = ObservedStore::default();
    let mut browser = browser_of(&store).await;
    let response = browser.get("/in-and-out").await;
    assert_eq!(response.status.as_u16(), 503);
    store.set_down(false);
    assert_eq!(browser.get("/who").await.body, "ada");
}

#[tokio::test]
async fn a_logout_removes_the_cookie_although_the_session_after_it_could_not_be_stored() {
    let store = ObservedStore::default();
    let mut browser = browser_of(&store).await;
    browser.get("/login/ada").await;
    let before = browser.cookie();
    let response = browser.get("/out-and-in").await;
    assert_eq!(response.status.as_u16(), 503);
    assert!(response.set_cookies()[0].contains("Max-Age=0"));
    let late = browser.send("/who", Some(before.into_bytes())).await;
    assert_eq!(late.body, "nobody");
}
