//! Interrupted requests: the client hangs up, or the application panics.

use std::{
    future::{Future, pending},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::FutureExt;

use super::{
    Answer,
    browser::{Browser, act, sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};
use crate::framework::{App, Incoming, Session, SessionError, adapter::finish_saves, streamed};

/// These tests share the process's count of background saves.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

type HandlerResult = Result<Answer, SessionError>;

async fn change_then_freeze(session: Session, incoming: Incoming) -> HandlerResult {
    let cart: Option<u64> = session.get("cart")?;
    session.insert("cart", &(cart.unwrap_or(0) + 1))?;
    incoming.store().set_frozen(true);
    Ok(Answer::ok())
}

async fn panic_on_replay(session: Session, incoming: Incoming) -> HandlerResult {
    let runs = AtomicUsize::new(0);
    session.update("n", move |n: Option<i64>| {
        assert_eq!(runs.fetch_add(1, Ordering::Relaxed), 0, "run again");
        n.unwrap_or(0) + 1
    })?;
    incoming.store().refuse_update();
    Ok(Answer::ok())
}

/// A handler with its own timeout around `save`.
async fn log_out_impatiently(session: Session, incoming: Incoming) -> HandlerResult {
    session.log_out();
    incoming.store().set_frozen(true);
    let saved = tokio::time::timeout(Duration::from_millis(20), session.save()).await;
    incoming.store().set_frozen(false);
    let text = if saved.is_ok() { "done" } else { "timed out" };
    Ok(Answer::new(text.to_owned()))
}

/// A handler that does what the path says and then does not return.
async fn work_slowly(session: Session, incoming: Incoming) -> HandlerResult {
    let path = incoming.argument();
    if path.starts_with("logout") {
        session.log_out();
    } else {
        session.insert("cart", &1)?;
    }
    if path.ends_with("-saved") {
        incoming.store().set_frozen(true);
        let _saved = session.save().await?;
    }
    pending().await
}

/// The same, with a task that keeps the session.
async fn work_slowly_beside_a_task(session: Session, incoming: Incoming) -> HandlerResult {
    let kept = session.clone();
    tokio::spawn(async move {
        pending::<()>().await;
        drop(kept);
    });
    work_slowly(session, incoming).await
}

/// A body that changes the session and saves it.
async fn stream_slowly(session: Session, incoming: Incoming) -> Answer {
    let store = incoming.store();
    Answer::new(streamed(async move {
        session.insert("cart", &1).unwrap();
        store.set_frozen(true);
        format!("{:?}", session.save().await)
    }))
}

async fn browser_of(store: &ObservedStore) -> Browser {
    let app = App::new()
        .route("/freeze", change_then_freeze)
        .route("/impatient", log_out_impatiently)
        .route("/slow/{work}", work_slowly)
        .route("/kept/{work}", work_slowly_beside_a_task)
        .route("/stream", stream_slowly)
        .route("/panic", panic_on_replay)
        .route("/{*act}", act)
        .sessions(sessions(settings(), store))
        .store(store);
    Browser::of(app).await
}

/// Runs `work` until it waits for the store, then drops it.
async fn hang_up(work: impl Future) {
    let mut work = pin!(work);
    for _ in 0..10 {
        assert!(
            work.as_mut().now_or_never().is_none(),
            "the store does not respond"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_change_is_saved_although_the_client_hung_up() {
    let _guard = ONE_AT_A_TIME.lock().await;
    let store = ObservedStore::default();
    let mut browser = browser_of(&store).await;
    browser.get("/set/a").await;
    let (mut lost, mut changes) = (0, 0);
    for _ in 0..10 {
        changes += 1;
        let cookie = browser.cookie().into_bytes();
        hang_up(browser.send("/freeze", Some(cookie))).await;
        lost = finish_saves(Duration::from_millis(20)).await;
        assert!(lost >= 1, "the store is frozen");
        store.set_frozen(false);
        assert_eq!(finish_saves(Duration::from_secs(5)).await, 0);
        // Another test of this process may have had some at the same moment.
        if lost == 1 {
            break;
        }
    }
    assert_eq!(lost, 1);
    assert_eq!(browser.get("/get/cart").await.body, changes.to_string());
}

/// Drops a request while its handler runs. Returns what the session holds afterwards, and the
/// warnings.
async fn after_drop(path: &str) -> (String, String) {
    let (log, _logging) = Log::of_this_thread();
    let store = ObservedStore::default();
    let mut browser = browser_of(&store).await;
    browser.get("/login/ada").await;
    let cookie = browser.cookie().into_bytes();
    hang_up(browser.send(path, Some(cookie))).await;
    store.set_frozen(false);
    assert_eq!(finish_saves(Duration::from_secs(5)).await, 0);
    let who = browser.get("/who").await.body;
    let cart = browser.get("/get/cart").await.body;
    (format!("{who} {cart}"), log.warnings())
}

#[tokio::test]
async fn a_save_that_has_begun_is_finished_although_its_handler_is_dropped() {
    let _guard = ONE_AT_A_TIME.lock().await;
    for (path, left) in [
        ("/slow/change-saved", "ada 1"),
        ("/slow/logout-saved", "nobody none"),
        ("/kept/change-saved", "ada 1"),
        ("/kept/logout-saved", "nobody none"),
        ("/stream", "ada 1"),
    ] {
        let (found, log) = after_drop(path).await;
        assert_eq!((&*found, &*log), (left, ""), "{path}");
    }
}

#[tokio::test]
async fn if_a_handler_is_dropped_its_logout_is_done_and_its_changes_are_logged_as_not_saved() {
    let _guard = ONE_AT_A_TIME.lock().await;
    for path in ["/slow", "/kept"] {
        let (found, log) = after_drop(&format!("{path}/logout")).await;
        assert_eq!((&*found, &*log), ("nobody none", ""), "{path}");
        let (found, log) = after_drop(&format!("{path}/change")).await;
        assert_eq!(found, "ada none", "{path}");
        let route = format!("route=\"{path}/{{work}}\"");
        for part in ["disconnected", "changes=1", &route] {
            assert!(log.contains(part), "{log}");
        }
    }
}

#[tokio::test]
async fn a_logout_whose_save_was_dropped_is_done_before_the_response() {
    let store = ObservedStore::default();
    let mut browser = browser_of(&store).await;
    browser.get("/login/ada").await;
    let cookie = browser.cookie();
    let response = browser.get("/impatient").await;
    assert_eq!(
        (response.status.as_u16(), &*response.body),
        (200, "timed out")
    );
    assert!(response.set_cookies()[0].contains("Max-Age=0"));
    browser.set_cookie(&cookie);
    assert_eq!(browser.get("/who").await.body, "nobody");
}

#[tokio::test]
async fn a_panic_while_the_session_is_saved_is_a_503() {
    let store = ObservedStore::default();
    let mut browser = browser_of(&store).await;
    browser.get("/set/n").await;
    let response = browser.get("/panic").await;
    assert_eq!(response.status.as_u16(), 503);
    assert_eq!(response.set_cookies(), [""; 0]);
    assert_eq!(browser.get("/get/n").await.body, "1");
}
