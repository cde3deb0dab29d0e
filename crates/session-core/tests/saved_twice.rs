//! A request that saved its session itself has moved its expiry: answering it asks the store nothing more, and says
//! nothing that another request has made untrue since the store last said it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use session_core::{
    Finish, MemoryStore, Outcome, Session, Sessions, Settings, Visit, config::Refresh,
};

async fn open(sessions: &Sessions, cookie: Option<&str>) -> (Arc<Visit>, Session) {
    let visit = sessions.visit();
    let header = cookie.map(str::as_bytes);
    let session = visit.session(&mut header.into_iter()).await.unwrap();
    (visit, session)
}

async fn answer(visit: &Visit) -> Outcome {
    match visit.finish() {
        Finish::Ready(outcome) => outcome,
        Finish::Pending(saving) => saving.await.unwrap(),
    }
}

#[tokio::test]
async fn what_was_saved_needs_no_refresh() {
    for settings in [Settings::unsigned(), Settings::flask()] {
        let settings = settings.with_refresh(Refresh::EveryRequest);
        let sessions = Sessions::new(settings, Arc::new(MemoryStore::new())).unwrap();
        let (visit, session) = open(&sessions, None).await;
        session.insert("a", &1).unwrap();
        let _stored = session.save().await.unwrap();
        assert!(matches!(visit.finish(), Finish::Ready(_)));
        let cookie = answer(&visit).await.set_cookie.expect("a new session");
        let pair = cookie.split(';').next();

        let (visit, session) = open(&sessions, pair).await;
        assert_eq!(session.get("a").unwrap(), Some(1));
        let Finish::Pending(refreshing) = visit.finish() else {
            panic!("a request that only reads is refreshed");
        };
        assert!(refreshing.await.unwrap().set_cookie.is_some());
    }
}

#[tokio::test]
async fn a_refresh_of_a_session_that_ended_meanwhile_sets_no_cookie() {
    for settings in [Settings::unsigned(), Settings::flask()] {
        let settings = settings.with_refresh(Refresh::EveryRequest);
        let sessions = Sessions::new(settings, Arc::new(MemoryStore::new())).unwrap();
        let (visit, session) = open(&sessions, None).await;
        session.insert("a", &1).unwrap();
        let cookie = answer(&visit).await.set_cookie.expect("a new session");
        let pair = cookie.split(';').next();

        let (late, _) = open(&sessions, pair).await;
        let (visit, session) = open(&sessions, pair).await;
        session.destroy();
        assert!(answer(&visit).await.set_cookie.is_some());
        assert_eq!(answer(&late).await.set_cookie, None);
    }
}
