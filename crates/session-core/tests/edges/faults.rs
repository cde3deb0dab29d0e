use session_core::{
    config::{FlaskSessions, Refresh},
    *,
};
use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Semaphore;

const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";
fn keys() -> SecretKeys {
    SecretKeys::new(SECRET).unwrap()
}

/// A memory store each of whose writes can be held.
#[derive(Debug, Clone)]
struct Gated {
    inner: MemoryStore,
    held: Arc<AtomicBool>,
    gate: Arc<Semaphore>,
}
impl Gated {
    fn new() -> Self {
        Self {
            inner: MemoryStore::new(),
            held: Arc::new(AtomicBool::new(false)),
            gate: Arc::new(Semaphore::new(0)),
        }
    }
    async fn wait(&self) {
        if self.held.load(Ordering::SeqCst) {
            let _p = self.gate.acquire().await.unwrap();
        }
    }
}
#[async_trait]
impl SessionStore for Gated {
    fn limit(&self) -> usize {
        self.inner.limit()
    }
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.inner.load(key).await
    }
    async fn insert(&self, key: &StoreKey, r: &Record) -> Result<Write> {
        self.wait().await;
        self.inner.insert(key, r).await
    }
    async fn update(&self, key: &StoreKey, r: &Record, v: &Revision) -> Result<Write> {
        self.wait().await;
        self.inner.update(key, r, v).await
    }
    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.inner.delete(key).await
    }
}
#[async_trait]
impl OwnerIndex for Gated {
    async fn owned_by(&self, o: &OwnerKey, c: Option<&Cursor>, n: usize) -> Result<Page> {
        self.inner.owned_by(o, c, n).await
    }
}

async fn open(sessions: &Sessions, cookie: Option<&str>) -> (Arc<Visit>, Session) {
    let visit = sessions.visit();
    let session = visit
        .session(&mut cookie.map(str::as_bytes).into_iter())
        .await
        .unwrap();
    (visit, session)
}
async fn answer(visit: &Visit) -> Result<Outcome> {
    match visit.finish() {
        Finish::Ready(o) => Ok(o),
        Finish::Pending(s) => s.await,
    }
}
fn pair(o: &Outcome) -> String {
    o.set_cookie
        .as_deref()
        .expect("a cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}
async fn logged_in(sessions: &Sessions, who: &str) -> String {
    let (v, s) = open(sessions, None).await;
    s.log_in(who).unwrap();
    pair(&answer(&v).await.unwrap())
}
async fn who(sessions: &Sessions, cookie: &str) -> Option<String> {
    open(sessions, Some(cookie))
        .await
        .1
        .owner()
        .map(|o| o.to_string())
}

// 1a: a log-out whose `save` was dropped (a handler's own time-out) is answered as done.
#[tokio::test]
async fn dropped_save_of_a_logout_is_a_false_success() {
    let store = Gated::new();
    let sessions = Sessions::with_owners(Settings::new(keys()), Arc::new(store.clone())).unwrap();
    let cookie = logged_in(&sessions, "ada").await;
    let (visit, session) = open(&sessions, Some(&cookie)).await;
    session.destroy();
    store.held.store(true, Ordering::SeqCst);
    // The handler: tokio::time::timeout(.., session.save()), or select!, or try_join! with another error.
    assert!(
        tokio::time::timeout(Duration::from_millis(20), session.save())
            .await
            .is_err()
    );
    store.held.store(false, Ordering::SeqCst);
    let done = answer(&visit).await;
    println!("answer: {done:?}");
    if done.is_ok() {
        assert_eq!(
            who(&sessions, &cookie).await,
            None,
            "answered as success, and still logged in"
        );
    }
}

// 1b: the same of a change.
#[tokio::test]
async fn dropped_save_of_a_change_is_a_lost_change_with_a_2xx() {
    let store = Gated::new();
    let sessions = Sessions::with_owners(Settings::new(keys()), Arc::new(store.clone())).unwrap();
    let cookie = logged_in(&sessions, "ada").await;
    let (visit, session) = open(&sessions, Some(&cookie)).await;
    session.insert("paid", &true).unwrap();
    store.held.store(true, Ordering::SeqCst);
    assert!(
        tokio::time::timeout(Duration::from_millis(20), session.save())
            .await
            .is_err()
    );
    store.held.store(false, Ordering::SeqCst);
    println!("the handler still sees {:?}", session.get::<bool>("paid"));
    let done = answer(&visit).await;
    println!("answer: {done:?}");
    if done.is_ok() {
        let (_, s) = open(&sessions, Some(&cookie)).await;
        assert_eq!(
            s.get::<bool>("paid").unwrap(),
            Some(true),
            "answered 2xx, and not stored"
        );
    }
}

// 2: a save that another task of the request has under way is not waited for; its cookie is lost.
#[tokio::test]
async fn finish_does_not_wait_for_a_save_under_way() {
    let store = Gated::new();
    let sessions = Sessions::with_owners(Settings::new(keys()), Arc::new(store.clone())).unwrap();
    let cookie = logged_in(&sessions, "ada").await;
    let (visit, session) = open(&sessions, Some(&cookie)).await;
    store.held.store(true, Ordering::SeqCst);
    let other = session.clone();
    let task = tokio::spawn(async move {
        other.renew();
        other.save().await
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let finishing = visit.finish();
    let at_once = matches!(finishing, Finish::Ready(_));
    store.held.store(false, Ordering::SeqCst);
    store.gate.add_permits(100);
    let outcome = match finishing {
        Finish::Ready(o) => o,
        Finish::Pending(f) => f.await.unwrap(),
    };
    let saved = task.await.unwrap();
    println!("at once: {at_once}, save: {saved:?}, outcome: {outcome:?}");
    let now = outcome
        .set_cookie
        .is_some()
        .then(|| pair(&outcome))
        .unwrap_or(cookie);
    assert_eq!(
        who(&sessions, &now).await.as_deref(),
        Some("ada"),
        "save said {saved:?}, the browser has no id any more"
    );
}

// 3: a session first asked for after the head was sent.
#[tokio::test]
async fn a_session_first_opened_after_the_head_logs_the_user_out() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let cookie = logged_in(&sessions, "ada").await;
    let visit = sessions.visit();
    let Finish::Ready(_) = visit.finish() else {
        panic!()
    }; // the head is sent; nobody looked
    let session = visit
        .session(&mut [cookie.as_bytes()].into_iter())
        .await
        .unwrap(); // the body's stream does
    session.renew();
    let saved = session.save().await;
    println!("{saved:?}");
    assert!(matches!(saved, Err(Error::HeadSent)), "{saved:?}");
    assert_eq!(who(&sessions, &cookie).await.as_deref(), Some("ada"));
}

// 4: `Move`, after the head.
#[tokio::test]
async fn a_change_after_the_head_moves_a_flask_session_to_an_id_that_nobody_gets() {
    let store = MemoryStore::new();
    let name = || CookieAttributes {
        name: "session".into(),
        ..CookieAttributes::default()
    };
    let flask = Sessions::new(
        Settings::flask().with_keys(keys()).with_cookie(name()),
        Arc::new(store.clone()),
    )
    .unwrap();
    let native = Sessions::with_owners(
        Settings::new(keys())
            .with_cookie(name())
            .with_flask_sessions(FlaskSessions::Move),
        Arc::new(store),
    )
    .unwrap();
    let (v, s) = open(&flask, None).await;
    s.insert("_user_id", "ada").unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (v, s) = open(&native, Some(&cookie)).await;
    assert_eq!(s.get::<String>("_user_id").unwrap().as_deref(), Some("ada"));
    let head = answer(&v).await.unwrap(); // the head is sent
    println!("head {head:?}");
    s.insert("exported", &true).unwrap();
    let saved = s.save().await;
    println!("{saved:?}");
    let (_, s) = open(&native, Some(&cookie)).await;
    assert_eq!(
        s.get::<String>("_user_id").unwrap().as_deref(),
        Some("ada"),
        "save said {saved:?}, the session is gone from the browser"
    );
}

// 5: `Keep`: log out everywhere misses a login in a Flask record.
#[tokio::test]
async fn keep_log_out_everywhere_misses_sessions() {
    let store = MemoryStore::new();
    let name = || CookieAttributes {
        name: "session".into(),
        ..CookieAttributes::default()
    };
    let flask = Sessions::new(
        Settings::flask().with_keys(keys()).with_cookie(name()),
        Arc::new(store.clone()),
    )
    .unwrap();
    let native = Sessions::with_owners(
        Settings::new(keys())
            .with_cookie(name())
            .with_flask_sessions(FlaskSessions::Keep),
        Arc::new(store),
    )
    .unwrap();
    let (v, s) = open(&flask, None).await;
    s.insert("basket", &1).unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (v, s) = open(&native, Some(&cookie)).await;
    s.log_in("ada").unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    assert_eq!(who(&native, &cookie).await.as_deref(), Some("ada"));
    let listed = native.of_owner("ada").await.unwrap().len();
    let ended = native.end_all_of("ada").await;
    println!("listed {listed}, ended {ended:?}");
    assert_eq!(
        who(&native, &cookie).await,
        None,
        "log out everywhere said {ended:?}"
    );
}

// 6: log out everywhere by a request that came with an id that was just renewed.
#[tokio::test]
async fn a_late_log_out_everywhere_is_a_false_success() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let cookie = logged_in(&sessions, "ada").await;
    let (v, s) = open(&sessions, Some(&cookie)).await;
    s.renew();
    let renewed = pair(&answer(&v).await.unwrap());
    // Sent beside the renewal.
    let (v, s) = open(&sessions, Some(&cookie)).await;
    let ended = s.log_out_everywhere(false).await;
    let done = answer(&v).await;
    println!("{ended:?} {done:?}");
    if ended.is_ok() && done.is_ok() {
        assert_eq!(
            who(&sessions, &renewed).await,
            None,
            "a success, and ada is logged in"
        );
    }
}

// 7: a cookie that a handler's own save is due to send is sent after another request renewed the session.
#[tokio::test]
async fn the_old_id_is_sent_after_a_renewal() {
    let settings = Settings::new(keys()).with_refresh(Refresh::EveryAccess);
    let sessions = Sessions::with_owners(settings, Arc::new(MemoryStore::new())).unwrap();
    let (v, s) = open(&sessions, None).await;
    s.insert("a", &1).unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (slow, s) = open(&sessions, Some(&cookie)).await;
    s.insert("b", &2).unwrap();
    let _ = s.save().await.unwrap(); // and the handler goes on
    let (v, s) = open(&sessions, Some(&cookie)).await;
    s.log_in("ada").unwrap();
    let renewed = pair(&answer(&v).await.unwrap()); // answered
    let late = answer(&slow).await.unwrap();
    println!("{late:?} after {renewed}");
    assert!(
        late.set_cookie.is_none(),
        "the old id is sent after the renewal was answered"
    );
}

// 8: a lost login waits for its own lane.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_login_waits_for_itself() {
    let store = MemoryStore::new();
    let sessions = Sessions::with_owners(
        Settings::new(keys()).with_store_timeout(Duration::from_millis(1000)),
        Arc::new(store),
    )
    .unwrap();
    let (v, s) = open(&sessions, None).await;
    s.insert("a", &1).unwrap();
    let _ = pair(&answer(&v).await.unwrap());
    let mut failed = vec![];
    for n in 0..8000 {
        let (v, s) = open(&sessions, None).await;
        s.insert("a", &1).unwrap();
        let cookie = pair(&answer(&v).await.unwrap());
        let (v1, s1) = open(&sessions, Some(&cookie)).await;
        let (v2, s2) = open(&sessions, Some(&cookie)).await;
        s1.log_in("ada").unwrap();
        s2.log_in("ada").unwrap();
        answer(&v1).await.unwrap();
        let start = std::time::Instant::now();
        if let Err(e) = answer(&v2).await {
            failed.push((n, e, start.elapsed()));
        }
    }
    println!("{} of 8000: {:?}", failed.len(), failed.first());
    assert!(failed.is_empty());
}

fn clock(now: &Arc<AtomicU64>) -> Clock {
    let now = now.clone();
    Arc::new(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::SeqCst)))
}

// 9: a lower idle timeout is not in force for sessions that are stored.
#[tokio::test]
async fn a_lowered_idle_timeout_leaves_stored_sessions_alone() {
    let now = Arc::new(AtomicU64::new(1_800_000_000));
    let store = MemoryStore::new().with_clock(clock(&now));
    let make = |idle: u64| {
        let s = Arc::new(store.clone());
        Sessions::with_clock(
            Settings::new(keys()).with_idle_timeout(Duration::from_secs(idle)),
            s.clone(),
            Some(s),
            clock(&now),
        )
        .unwrap()
    };
    let before = make(31 * 86_400);
    let cookie = logged_in(&before, "ada").await;
    let after = make(900);
    // Used once under the new setting.
    let (v, s) = open(&after, Some(&cookie)).await;
    assert_eq!(s.owner().as_deref(), Some("ada"));
    let o = answer(&v).await.unwrap();
    println!("{o:?}, ends {:?}", s.expires_at());
    now.fetch_add(30 * 86_400, Ordering::SeqCst);
    assert_eq!(
        who(&after, &cookie).await,
        None,
        "idle for 30 days under an idle timeout of 15 minutes"
    );
}

// 10: idle timeout above 4000 days: a daily visitor loses his cookie.
#[tokio::test]
async fn a_daily_visitor_with_a_very_long_timeout_keeps_his_cookie() {
    let now = Arc::new(AtomicU64::new(1_800_000_000));
    let store = Arc::new(MemoryStore::new().with_clock(clock(&now)));
    let settings = Settings::new(keys()).with_idle_timeout(Duration::from_secs(20 * 365 * 86_400));
    let sessions = Sessions::with_clock(settings, store.clone(), Some(store), clock(&now)).unwrap();
    let cookie = logged_in(&sessions, "ada").await;
    let mut sent = 0;
    for _ in 0..400 {
        now.fetch_add(86_400, Ordering::SeqCst);
        let (v, s) = open(&sessions, Some(&cookie)).await;
        assert_eq!(s.owner().as_deref(), Some("ada"));
        sent += usize::from(answer(&v).await.unwrap().set_cookie.is_some());
    }
    assert!(
        sent > 0,
        "400 daily visits, the cookie was never sent again: the browser drops it today"
    );
}

// 11: two valid cookies of one name (path or domain of the cookie was changed).
#[tokio::test]
async fn a_dead_cookie_before_a_live_one_locks_out() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let old = logged_in(&sessions, "ada").await;
    let (v, s) = open(&sessions, Some(&old)).await;
    s.destroy();
    answer(&v).await.unwrap();
    let new = logged_in(&sessions, "ada").await;
    // The browser keeps the old one, because its path or domain is not the removal's.
    assert_eq!(
        who(&sessions, &format!("{old}; {new}")).await.as_deref(),
        Some("ada")
    );
}
