//! Handlers that call `save`, and a store that fails afterwards: the head carries what is known to
//! be stored.

use actix_web::{App, HttpResponse, test, web};
use session_actix::{Session, SessionError, SessionMiddleware};

use crate::{
    browser::{Browser, act, sessions, settings},
    observed_store::ObservedStore,
};

type HandlerResult = Result<HttpResponse, SessionError>;

async fn log_in_then_fail(session: Session, store: web::Data<ObservedStore>) -> HandlerResult {
    session.log_in("ada")?;
    let _saved = session.save().await?;
    store.set_down(true);
    session.insert("cart", &1)?;
    Ok(HttpResponse::Ok().finish())
}

async fn log_out_then_fail(session: Session, store: web::Data<ObservedStore>) -> HandlerResult {
    session.log_out();
    let _saved = session.save().await?;
    store.set_down(true);
    session.insert("cart", &1)?;
    Ok(HttpResponse::Ok().finish())
}

async fn log_in_then_fail_to_log_out(
    session: Session,
    store: web::Data<ObservedStore>,
) -> HandlerResult {
    session.log_in("ada")?;
    let _saved = session.save().await?;
    store.set_down(true);
    session.log_out();
    Ok(HttpResponse::Ok().finish())
}

async fn log_out_and_fail_to_insert(
    session: Session,
    store: web::Data<ObservedStore>,
) -> HandlerResult {
    session.log_out();
    store.fail_inserts();
    session.insert("cart", &1)?;
    Ok(HttpResponse::Ok().finish())
}

macro_rules! browser_of {
    ($store:expr) => {
        Browser::of(
            test::init_service(
                App::new()
                    .app_data(web::Data::new($store.clone()))
                    .wrap(SessionMiddleware::new(sessions(settings(), $store)))
                    .route("/half-in", web::get().to(log_in_then_fail))
                    .route("/half-out", web::get().to(log_out_then_fail))
                    .route("/in-and-out", web::get().to(log_in_then_fail_to_log_out))
                    .route("/out-and-in", web::get().to(log_out_and_fail_to_insert))
                    .route("/{act:.*}", web::get().to(act)),
            )
            .await,
        )
    };
}

#[actix_web::test]
async fn a_login_that_was_saved_reaches_the_browser_although_a_later_save_fails() {
    let store = ObservedStore::default();
    let mut browser = browser_of!(&store);
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

#[actix_web::test]
async fn a_logout_that_was_saved_removes_the_cookie_although_a_later_save_fails() {
    let store = ObservedStore::default();
    let mut browser = browser_of!(&store);
    browser.get("/login/ada").await;
    let response = browser.get("/half-out").await;
    assert_eq!(response.status.as_u16(), 503);
    assert!(response.set_cookies()[0].contains("Max-Age=0"));
}

#[actix_web::test]
async fn a_logout_that_was_not_confirmed_removes_no_cookie() {
    let store = ObservedStore::default();
    let mut browser = browser_of!(&store);
    let response = browser.get("/in-and-out").await;
    assert_eq!(response.status.as_u16(), 503);
    store.set_down(false);
    assert_eq!(browser.get("/who").await.body, "ada");
}

#[actix_web::test]
async fn a_logout_removes_the_cookie_although_the_session_after_it_could_not_be_stored() {
    let store = ObservedStore::default();
    let mut browser = browser_of!(&store);
    browser.get("/login/ada").await;
    let before = browser.cookie();
    let response = browser.get("/out-and-in").await;
    assert_eq!(response.status.as_u16(), 503);
    assert!(response.set_cookies()[0].contains("Max-Age=0"));
    let late = browser.send("/who", Some(before.into_bytes())).await;
    assert_eq!(late.body, "nobody");
}
