//! A change made while another part of the request saves is not lost, whatever becomes of that save.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use session_core::{
    Error, Finish, Loaded, MemoryStore, Record, Result, Revision, Session, SessionStore, Sessions,
    Settings, StoreKey, Visit, Write, async_trait,
};
use tokio::sync::Semaphore;

/// Its first update waits to be let go on, and is refused as too large.
#[derive(Debug)]
struct RefusesOnce {
    inner: MemoryStore,
    refused: AtomicBool,
    gate: Semaphore,
}

#[async_trait]
impl SessionStore for RefusesOnce {
    fn limit(&self) -> usize {
        self.inner.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.inner.load(key).await
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.inner.insert(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        if !self.refused.swap(true, Ordering::Relaxed) {
            let _let_go = self.gate.acquire().await.unwrap();
            return Err(Error::TooLarge { size: 2, limit: 1 });
        }
        self.inner.update(key, record, revision).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.inner.delete(key).await
    }
}

async fn open(sessions: &Sessions, cookie: Option<&str>) -> (Arc<Visit>, Session) {
    let visit = sessions.visit();
    let header = cookie.map(str::as_bytes);
    let session = visit.session(&mut header.into_iter()).await.unwrap();
    (visit, session)
}

#[tokio::test]
async fn a_change_beside_a_save_that_fails_is_saved_by_the_next() {
    let store = Arc::new(RefusesOnce {
        inner: MemoryStore::new(),
        refused: AtomicBool::new(false),
        gate: Semaphore::new(0),
    });
    let sessions = Sessions::new(Settings::unsigned(), store.clone()).unwrap();
    let (visit, session) = open(&sessions, None).await;
    session.insert("first", &1).unwrap();
    let Finish::Pending(saving) = visit.finish() else {
        panic!("there is something to save");
    };
    let cookie = saving.await.unwrap().set_cookie.expect("a new session");
    let pair = cookie.split(';').next();

    let (_visit, session) = open(&sessions, pair).await;
    session.insert("too much", &2).unwrap();
    let saved = async {
        assert!(matches!(session.save().await, Err(Error::TooLarge { .. })));
    };
    let changed = async {
        session.insert("beside it", &3).unwrap();
        store.gate.add_permits(1);
    };
    tokio::join!(saved, changed);
    assert_eq!(session.get("beside it").unwrap(), Some(3));
    session.insert("afterwards", &4).unwrap();
    let _stored = session.save().await.unwrap();

    let (_, session) = open(&sessions, pair).await;
    assert_eq!(session.keys(), ["first", "beside it", "afterwards"]);
}
