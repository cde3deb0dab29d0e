//! Requests that are interrupted: by a client that hangs up, by a panic of the application.

use std::{
    future::{Future, pending},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use actix_web::{App, HttpResponse, test, web};
use futures_util::{FutureExt, stream};
use session_actix::{Session, SessionError, SessionMiddleware, finish_saves};

use crate::{
    browser::{Browser, act, sessions, settings},
    log::Log,
    observed::ObservedStore,
};

/// The process has one count of saves that go on.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

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
    session.log_out();
    store.set_frozen(true);
    let saved = tokio::time::timeout(Duration::from_millis(20), session.save()).await;
    store.set_frozen(false);
    let said = if saved.is_ok() { "done" } else { "gave up" };
    Ok(HttpResponse::Ok().body(said))
}

/// A handler that does what the path says, and is not done for long.
async fn work_slowly(
    session: Session,
    store: web::Data<ObservedStore>,
    path: web::Path<String>,
) -> Answer {
    if path.starts_with("logout") {
        session.log_out();
    } else {
        session.insert("cart", &1)?;
    }
    if path.ends_with("-saved") {
        store.set_frozen(true);
        let _saved = session.save().await?;
    }
    pending().await
}

/// A body that changes the session after its first part, and saves it.
async fn stream_slowly(session: Session, store: web::Data<ObservedStore>) -> HttpResponse {
    HttpResponse::Ok().streaming(stream::once(async move {
        session.insert("cart", &1).unwrap();
        store.set_frozen(true);
        let saved = session.save().await;
        Ok::<_, actix_web::Error>(web::Bytes::from(format!("{saved:?}")))
    }))
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
                    .route("/slow/{work}", web::get().to(work_slowly))
                    .route("/stream", web::get().to(stream_slowly))
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
    let _alone = ONE_AT_A_TIME.lock().await;
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

/// What the session holds after a request was cut off in the middle, and the warnings meanwhile.
async fn after_cut_off(path: &str) -> (String, String) {
    let (log, _logging) = Log::of_this_thread();
    let store = ObservedStore::default();
    let mut browser = browser_of!(&store);
    browser.get("/login/ada").await;
    let cookie = browser.cookie().into_bytes();
    hang_up(browser.send(path, Some(cookie))).await;
    store.set_frozen(false);
    assert_eq!(finish_saves(Duration::from_secs(5)).await, 0);
    let who = browser.get("/who").await.body;
    let cart = browser.get("/get/cart").await.body;
    (format!("{who} {cart}"), log.text())
}

#[actix_web::test]
async fn a_save_that_a_handler_began_goes_on_although_the_handler_is_cut_off() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for (path, left) in [
        ("/slow/change-saved", "ada 1"),
        ("/slow/logout-saved", "nobody none"),
        ("/stream", "ada 1"),
    ] {
        let (found, log) = after_cut_off(path).await;
        assert_eq!((&*found, &*log), (left, ""), "{path}");
    }
}

#[actix_web::test]
async fn of_a_handler_that_is_cut_off_a_logout_is_done_and_a_change_is_counted_as_lost() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (found, log) = after_cut_off("/slow/logout").await;
    assert_eq!((&*found, &*log), ("nobody none", ""));
    let (found, log) = after_cut_off("/slow/change").await;
    assert_eq!(found, "ada none");
    for part in ["cut off", "changes=1", "route=\"/slow/{work}\""] {
        assert!(log.contains(part), "{log}");
    }
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
