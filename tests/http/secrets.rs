//! No log line, `Debug` output or error shows an id, a store key, a payload or a secret key.

use std::fmt::Write as _;

use session_core::{Saved, SessionId};

use super::{
    browser::{Browser, SECRET, sessions, settings},
    log::Log,
    observed_store::ObservedStore,
};
use crate::framework::{App, Session, SessionError, shown};

const CANARY: &str = "a canary in the payload";

async fn show(session: Session) -> Result<String, SessionError> {
    session.insert("secret", CANARY)?;
    assert_ne!(session.save().await?, Saved::Ended);
    let error = session.get::<i64>("secret").unwrap_err();
    let mut shown = format!("{session:?} {error:?} {error} {:?}", session.lineage());
    write!(shown, " {error:?} {error}").unwrap();
    Ok(shown)
}

async fn fail(session: Session) -> Result<&'static str, SessionError> {
    session.get::<i64>("secret")?;
    Ok("")
}

#[tokio::test]
async fn nothing_shows_an_id_a_key_a_payload_or_a_secret() {
    let (log, _logging) = Log::of_this_thread();
    let store = ObservedStore::default();
    let sessions = sessions(settings(), &store);
    let middleware = shown(&sessions);
    let mut shown = format!("{sessions:?} {middleware} {:?} {store:?}", settings());
    let app = App::new()
        .route("/show", show)
        .route("/fail", fail)
        .sessions(sessions);
    let mut browser = Browser::of(app).await;
    for _ in 0..2 {
        shown += &browser.get("/show").await.body;
    }
    let cookie = browser.cookie();
    assert_eq!(browser.get("/fail").await.status.as_u16(), 500);
    store.set_mangle(Some(|payload| payload[1..].to_vec()));
    browser.get("/fail").await;
    store.set_mangle(None);
    store.set_down(true);
    assert_eq!(browser.get("/fail").await.status.as_u16(), 503);
    write!(shown, "{store:?}").unwrap();

    let value = cookie.split_once('=').unwrap().1;
    let (id, signature) = value.split_once('.').unwrap();
    let prefix = settings().key_prefix().clone();
    let key = prefix.hashed_key(&SessionId::from_native(id, 32).unwrap());
    let logged = log.text();
    assert!(logged.contains("session"), "the log is not empty: {logged}");
    for text in [&shown, &logged] {
        for secret in [id, signature, key.as_str(), CANARY, SECRET] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}
