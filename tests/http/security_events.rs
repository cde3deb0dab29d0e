//! What a security log records, with its names and fields, over HTTP.

use std::{sync::Arc, time::Duration};

use http::{Request, header::COOKIE};
use session_core::{CrossSiteRule, Sessions, Settings, config::OnMaxPerUser};
use tokio::{join, sync::Notify};

use super::{
    Answer,
    browser::{sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};
use crate::framework::{App, Incoming, Running, Session, SessionError};

/// The path says what is done. The response is the session's lineage.
/// A request that waits with its session loaded.
#[derive(Clone, Default)]
struct Slow {
    has_begun: Arc<Notify>,
    go_on: Arc<Notify>,
}

async fn act(
    session: Session,
    incoming: Incoming,
    slow: Slow,
    sessions: Sessions,
) -> Result<Answer, SessionError> {
    match &*incoming.argument() {
        "ada" => session.log_in("ada")?,
        "bob" => session.log_in("bob")?,
        "provider" => session.log_in_from_provider("ada", "s1")?,
        "back-channel" => {
            sessions.end_provider_session("s1").await?;
        }
        "reauthenticate" => session.reauthenticate()?,
        "renew" => session.renew(),
        "logout" => session.log_out(),
        "everywhere" => {
            session.log_out_everywhere(false).await?;
        }
        "incoming" => session.insert("a", &1)?,
        "big" => session.insert("a", &"x".repeat(5000))?,
        "many" => {
            for key in ["a", "b", "c", "d"] {
                session.insert(key, &1)?;
            }
        }
        "slow" => {
            slow.has_begun.notify_one();
            slow.go_on.notified().await;
            session.insert("a", &1)?;
        }
        _ => {}
    }
    let lineage = session.lineage().map(|it| it.to_string());
    Ok(Answer::new(lineage.unwrap_or_default()))
}

/// Sends a request with `cookie`. Returns the cookie from then on, and the lineage.
async fn send(app: &Running, path: &str, cookie: &str) -> (String, String) {
    let request = Request::post(path).header(COOKIE, cookie);
    let response = app.send(request.body(String::new()).unwrap()).await;
    let set = response.session_cookie();
    (set.unwrap_or_else(|| cookie.to_owned()), response.body)
}

fn small() -> Settings {
    settings().with_max_bytes(3000).with_max_keys(3)
}

async fn application(store: &ObservedStore, slow: &Slow, settings: Settings) -> Running {
    let sessions = sessions(settings, store);
    let (slow, all) = (slow.clone(), sessions.clone());
    let act = move |session, incoming| act(session, incoming, slow.clone(), all.clone());
    App::new()
        .route("/{act}", act)
        .sessions(sessions)
        .guard(CrossSiteRule::new())
        .start()
        .await
}

#[tokio::test]
async fn each_event_has_its_name_and_its_fields() {
    let (store, slow) = (ObservedStore::default(), Slow::default());
    let app = application(&store, &slow, small()).await;
    let (log, _guard) = Log::of_this_thread();
    let events = || log.security_events();

    let (first, _) = send(&app, "/ada", "a=b").await;
    let (_, lineage) = send(&app, "/who", &first).await;
    let named = |level: &str, event: &str| format!("{level} event=\"{event}\" lineage={lineage}");
    assert_eq!(events(), [named("INFO", "login")]);

    let (second, _) = send(&app, "/renew", &first).await;
    assert_eq!(events(), [named("INFO", "renewal")]);
    let (cookie, _) = send(&app, "/reauthenticate", &second).await;
    assert_eq!(events(), [named("INFO", "login")]);

    send(&app, "/who", &second).await;
    assert_eq!(events(), ["WARN event=\"late_id\" suppressed=0"]);

    let forged = format!("{cookie}A");
    send(&app, "/who", &forged).await;
    assert_eq!(events(), ["WARN event=\"signature_refused\" suppressed=0"]);

    for (path, limit) in [("/big", "bytes"), ("/many", "keys")] {
        send(&app, path, &cookie).await;
        let reached = format!(" limit=\"{limit}\" suppressed=0");
        assert_eq!(events(), [named("WARN", "limit_reached") + &reached]);
    }

    store.set_mangle(Some(|bytes| bytes[..50].to_vec()));
    send(&app, "/who", &cookie).await;
    // The text begins so: "the record is shorter than a header".
    let unreadable = "WARN event=\"record_unreadable\" reason=the suppressed=0";
    assert_eq!(events(), [unreadable]);
    store.set_mangle(None);

    // Somebody else logs in with the same browser while a request of the first user is under way.
    let ((), bob) = join!(
        async {
            send(&app, "/slow", &cookie).await;
        },
        async {
            slow.has_begun.notified().await;
            let (bob, _) = send(&app, "/bob", &cookie).await;
            slow.go_on.notify_one();
            bob
        }
    );
    let foreign = named("WARN", "foreign_owner") + " suppressed=0";
    assert_eq!(events(), [named("INFO", "login"), foreign]);

    send(&app, "/logout", &bob).await;
    assert_eq!(events(), [named("INFO", "log_out")]);

    let mut cookie = String::new();
    for _ in 0..2 {
        (cookie, _) = send(&app, "/ada", "a=b").await;
    }
    events();
    send(&app, "/everywhere", &cookie).await;
    let found = events();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[..2]
            .iter()
            .all(|it| it.starts_with("INFO event=\"log_out\" lineage="))
    );
    assert_eq!(found[2], "INFO event=\"log_out_everywhere\" ended=2");

    let (cookie, _) = send(&app, "/provider", "a=b").await;
    let (_, lineage) = send(&app, "/who", &cookie).await;
    events();
    send(&app, "/back-channel", "a=b").await;
    let ended = "INFO event=\"back_channel_log_out\" ended=1".to_owned();
    let log_out = format!("INFO event=\"log_out\" lineage={lineage}");
    assert_eq!(events(), [log_out, ended]);
}

#[tokio::test]
async fn what_a_visitor_does_who_is_not_logged_in_is_no_event() {
    let app = application(&ObservedStore::default(), &Arc::default(), small()).await;
    let (log, _guard) = Log::of_this_thread();
    let (cookie, _) = send(&app, "/incoming", "a=b").await;
    let (cookie, _) = send(&app, "/renew", &cookie).await;
    send(&app, "/logout", &cookie).await;
    assert_eq!(log.security_events(), [""; 0]);
}

#[tokio::test]
async fn a_login_beyond_the_limit_is_refused_or_ends_another_and_is_logged() {
    let (log, _guard) = Log::of_this_thread();
    for policy in [OnMaxPerUser::RefuseLogin, OnMaxPerUser::EndOldest] {
        let settings = settings().with_max_per_user(1).with_on_max_per_user(policy);
        let store = ObservedStore::default();
        let app = application(&store, &Arc::default(), settings).await;
        send(&app, "/ada", "a=b").await;
        log.security_events();
        // Of two logins in one millisecond, chance says which is the newer.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let request = Request::post("/ada").body(String::new());
        let response = app.send(request.unwrap()).await;
        let refused = policy == OnMaxPerUser::RefuseLogin;
        let status = if refused { 403 } else { 200 };
        assert_eq!(response.status, status);
        assert_eq!(response.session_cookie().is_some(), !refused);
        let events = log.security_events();
        let names = |it: &String| it.split(['"', '"']).nth(1).unwrap().to_owned();
        let reached = events.iter().find(|it| names(it) == "limit_reached");
        assert!(
            reached
                .unwrap()
                .ends_with(" limit=\"sessions\" suppressed=0")
        );
        let all: Vec<_> = events.iter().map(names).collect();
        let others: &[_] = if refused { &[] } else { &["login"] };
        let ended: &[_] = if refused { &[] } else { &["log_out"] };
        assert_eq!(all, [ended, &["limit_reached"], others].concat());
    }
}

#[tokio::test]
async fn a_refusal_of_the_guard_is_one_too_and_floods_are_bounded() {
    let app = application(&ObservedStore::default(), &Arc::default(), small()).await;
    let (log, _guard) = Log::of_this_thread();
    for _ in 0..100 {
        let request = Request::post("/ada")
            .header("Host", "shop.example")
            .header("Sec-Fetch-Site", "cross-site")
            .header("Origin", "https://attacker.example");
        let refused = app.send(request.body(String::new()).unwrap()).await;
        assert_eq!(refused.status, 403);
        send(&app, "/who", "__Host-session=forged").await;
    }
    let events = log.security_events();
    let refused = "WARN event=\"cross_site_refused\" origin=\"https://attacker.example\" \
                   host=\"shop.example\" sec_fetch_site=\"cross-site\" suppressed=0";
    // Around a router the guard does not know the route yet: each adapter tests what its guard names.
    assert_eq!(events[0].replace(" route=\"/{act}\"", ""), refused);
    // Two seconds at most went by.
    assert!((20..=60).contains(&events.len()), "{}", events.len());
}
