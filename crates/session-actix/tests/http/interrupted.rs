//! Saves that are interrupted: by a client that hangs up, by a panic of the application.

use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use actix_web::{App, HttpResponse, test, web};
use futures_util::FutureExt;
use session_actix::{Session, SessionError, SessionMiddleware, finish_saves};

use crate::{
    browser::{Browser, act, sessions, settings},
    observed::ObservedStore,
};

type Answer = Result<HttpResponse, SessionError>;

async fn change_then_freeze(session: Session, store: web::Data<ObservedStore>) -> Answer {
    session.insert("cart", &1)?;
    store.set_frozen(true);
    Ok(HttpResponse::Ok().finish())
}

async fn panic_on_fresher_data(session: Session, store: web::Data<ObservedStore>) -> Answer {
    let runs = AtomicUsize::new(0);
    session.update("n", move |n: Option<i64>| {
        assert_eq!(runs.fetch_add(1, Ordering::Relaxed), 0, "run again");
        n.unwrap_or(0) + 1
    })?;
    store.refuse_update();
    Ok(HttpResponse::Ok().finish())
}

/// A handler with a time-out of its own around its save.
async fn log_out_impatiently(session: Session, store: web::Data<ObservedStore>) -> Answer {
    session.destroy();
    store.set_frozen(true);
    let saved = tokio::time::timeout(Duration::from_millis(20), session.save()).await;
    store.set_frozen(false);
    let said = if saved.is_ok() { "done" } else { "gave up" };
    Ok(HttpResponse::Ok().body(said))
}

macro_rules! browser_of {
    ($store:expr) => {
        Browser::before(
            test::init_service(
                App::new()
                    .app_data(web::Data::new($store.clone()))
                    .wrap(SessionMiddleware::new(sessions(settings(), $store)))
                    .route("/freeze", web::get().to(change_then_freeze))
                    .route("/impatient", web::get().to(log_out_impatiently))
                    .route("/panic", web::get().to(panic_on_fresher_data))
                    .route("/{act:.*}", web::get().to(act)),
            )
            .await,
        )
    };
}

/// Runs `work` until it waits for the store, and drops it there.
async fn hang_up(work: impl Future) {
    let mut work = pin!(work);
    for _ in 0..10 {
        assert!(
            work.as_mut().now_or_never().is_none(),
            "the store does not answer"
        );
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_change_is_saved_although_the_client_hung_up() {
    let store = ObservedStore::default();
    let mut browser = browser_of!(&store);
    browser.get("/set/a").await;
    let cookie = browser.cookie().into_bytes();
    hang_up(browser.send("/freeze", Some(cookie))).await;
    let lost = finish_saves(Duration::from_millis(20)).await;
    assert_eq!(lost, 1, "the store is frozen");
    store.set_frozen(false);
    assert_eq!(finish_saves(Duration::from_secs(5)).await, 0);
    assert_eq!(browser.get("/get/cart").await.body, "1");
}

#[actix_web::test]
async fn a_logout_whose_save_was_dropped_is_done_when_it_is_answered() {
    let store = ObservedStore::default();
    let mut browser = browser_of!(&store);
    browser.get("/login/ada").await;
    let cookie = browser.cookie();
    let answer = browser.get("/impatient").await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, "gave up"));
    assert!(answer.set_cookies()[0].contains("Max-Age=0"));
    browser.set_cookie(&cookie);
    assert_eq!(browser.get("/who").await.body, "nobody");
}

#[actix_web::test]
async fn a_panic_while_the_session_is_saved_is_an_answer() {
    let store = ObservedStore::default();
    let mut browser = browser_of!(&store);
    browser.get("/set/n").await;
    let answer = browser.get("/panic").await;
    assert_eq!(answer.status.as_u16(), 503);
    assert_eq!(answer.set_cookies(), [""; 0]);
    assert_eq!(browser.get("/get/n").await.body, "1");
}
