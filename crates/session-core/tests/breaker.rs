//! From the outside: what the README, the issue and the documents promise, tried through the public API.
#![allow(clippy::all, clippy::pedantic, clippy::nursery, dead_code, unused)]

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::{
    Clock, CookieAttributes, Cursor, Dynamic, Error, ExpiredSweep, Finish, Format, KeyPrefix,
    Lineage, Loaded, MemoryStore, Outcome, OwnerIndex, OwnerKey, Page, Record, Result, Revision,
    Saved, SecretKeys, Session, SessionStore, Sessions, Settings, StoreKey, Visit, Write,
    async_trait,
    config::{FlaskSessions, OnStoreFailure, Refresh},
};

const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";
const OTHER: &str = "kP9sLx2QmW7vBt4zRn8cYd1hGf6jUa3E";

fn settings() -> Settings {
    Settings::new(SecretKeys::new(SECRET).unwrap())
}

#[derive(Clone)]
struct Time(Arc<AtomicU64>);
impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_800_000_000_000)))
    }
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
    fn go(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
    fn clock(&self) -> Clock {
        let t = self.clone();
        Arc::new(move || t.now())
    }
}

/// A store over memory that can be slow, frozen, or fail, and hands out its keys.
#[derive(Clone, Debug)]
struct Odd {
    inner: MemoryStore,
    keys: Arc<Mutex<Vec<StoreKey>>>,
    load_ms: Arc<AtomicU64>,
    write_ms: Arc<AtomicU64>,
    index_ms: Arc<AtomicU64>,
    fail: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}
impl Odd {
    fn new(time: &Time) -> Self {
        Self {
            inner: MemoryStore::new()
                .with_clock(time.clock())
                .with_limit(64 << 20),
            keys: Arc::default(),
            load_ms: Arc::default(),
            write_ms: Arc::default(),
            index_ms: Arc::default(),
            fail: Arc::default(),
            calls: Arc::default(),
        }
    }
    async fn pause(&self, ms: &AtomicU64) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let ms = ms.load(Ordering::SeqCst);
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        if self.fail.load(Ordering::SeqCst) {
            return Err(Error::backend("odd", "down"));
        }
        Ok(())
    }
    fn last_key(&self) -> StoreKey {
        self.keys.lock().unwrap().last().unwrap().clone()
    }
}
#[async_trait]
impl SessionStore for Odd {
    fn limit(&self) -> usize {
        self.inner.limit()
    }
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.pause(&self.load_ms).await?;
        self.inner.load(key).await
    }
    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.pause(&self.write_ms).await?;
        self.keys.lock().unwrap().push(key.clone());
        self.inner.insert(key, record).await
    }
    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.pause(&self.write_ms).await?;
        self.inner.update(key, record, revision).await
    }
    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.pause(&self.write_ms).await?;
        self.inner.delete(key).await
    }
}
#[async_trait]
impl OwnerIndex for Odd {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        self.pause(&self.index_ms).await?;
        self.inner.owned_by(owner, cursor, limit).await
    }
}

struct World {
    time: Time,
    store: Odd,
    sessions: Sessions,
}
fn world(settings: Settings) -> World {
    let time = Time::new();
    let store = Odd::new(&time);
    let sessions = over(&time, &store, settings);
    World {
        time,
        store,
        sessions,
    }
}
fn over(time: &Time, store: &Odd, settings: Settings) -> Sessions {
    let s = Arc::new(store.clone());
    Sessions::with_clock(settings, s.clone(), Some(s), time.clock()).unwrap()
}

#[derive(Clone, Default, Debug)]
struct Jar(Option<String>);
impl Jar {
    fn take(&mut self, outcome: &Outcome) {
        if let Some(c) = &outcome.set_cookie {
            let pair = c.split(';').next().unwrap().to_owned();
            let dead = c.contains("Max-Age=0") || c.contains("1970");
            self.0 = (!dead).then_some(pair);
        }
    }
}
async fn finish(visit: &Arc<Visit>) -> Result<Outcome> {
    match visit.finish() {
        Finish::Ready(o) => Ok(o),
        Finish::Pending(f) => f.await,
    }
}
async fn open(sessions: &Sessions, jar: &Jar) -> (Arc<Visit>, Session) {
    let visit = sessions.visit();
    let header = jar.0.clone();
    let session = visit
        .session(&mut header.as_deref().map(str::as_bytes).into_iter())
        .await
        .unwrap();
    (visit, session)
}
/// One request.
async fn req<T>(
    sessions: &Sessions,
    jar: &mut Jar,
    work: impl AsyncFnOnce(&Session) -> T,
) -> (Result<Outcome>, T) {
    let (visit, session) = open(sessions, jar).await;
    let t = work(&session).await;
    let outcome = finish(&visit).await;
    match &outcome {
        Ok(o) => jar.take(o),
        Err(_) => jar.take(&visit.failed()),
    }
    (outcome, t)
}
async fn login(sessions: &Sessions, owner: &str) -> Jar {
    let mut jar = Jar::default();
    req(sessions, &mut jar, async |s| s.log_in(owner).unwrap())
        .await
        .0
        .unwrap();
    jar
}
async fn who(sessions: &Sessions, jar: &Jar) -> Option<String> {
    let mut jar = jar.clone();
    req(sessions, &mut jar, async |s| {
        s.owner().map(|o| o.to_string())
    })
    .await
    .1
}

// ---- a list of devices beside records of a later release

async fn make_later(w: &World, key: &StoreKey) {
    let loaded = w.store.inner.load(key).await.unwrap().unwrap();
    let mut bytes = loaded.bytes.to_vec();
    bytes[1] = 2;
    let record = Record {
        bytes: bytes.into(),
        expires_at: w.time.now() + Duration::from_secs(86_400),
        entry: None,
    };
    assert!(
        w.store
            .inner
            .update(key, &record, &loaded.revision)
            .await
            .unwrap()
            .is_stored()
    );
}

#[tokio::test]
async fn to_end_a_device_whose_record_is_of_a_later_release_is_an_error() {
    let w = world(settings());
    let mut one = login(&w.sessions, "ada").await;
    let mut two = login(&w.sessions, "ada").await;
    let key = w.store.last_key();
    let lineage = req(&w.sessions, &mut two, async |s| s.lineage().unwrap())
        .await
        .1;
    make_later(&w, &key).await;
    let ended = req(&w.sessions, &mut one, async |s| {
        s.end_of_owner(&lineage).await
    })
    .await
    .1;
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test]
async fn a_list_that_cannot_read_a_device_says_so() {
    let w = world(settings());
    let mut one = login(&w.sessions, "ada").await;
    let _two = login(&w.sessions, "ada").await;
    make_later(&w, &w.store.last_key()).await;
    let list = req(&w.sessions, &mut one, async |s| s.sessions_of_owner().await)
        .await
        .1;
    assert!(
        list.is_err() || list.as_ref().unwrap().len() == 2,
        "{:?}",
        list.map(|l| l.len())
    );
}

// ---- budgets

#[tokio::test(start_paused = true)]
async fn all_work_on_a_users_sessions_together_takes_five_budgets() {
    let w = world(settings());
    let mut one = login(&w.sessions, "ada").await;
    w.store.index_ms.store(4_900, Ordering::SeqCst);
    let start = tokio::time::Instant::now();
    let _ = req(&w.sessions, &mut one, async |s| {
        for _ in 0..4 {
            let _ = s.sessions_of_owner().await;
        }
        let _ = s.log_out_everywhere(false).await;
    })
    .await;
    assert!(
        start.elapsed() < Duration::from_millis(6_200),
        "{:?}",
        start.elapsed()
    );
}

// ---- the Flask profile

#[tokio::test]
async fn a_stored_session_of_the_flask_profile_has_a_lineage() {
    let w = world(Settings::flask());
    let mut jar = Jar::default();
    let (o, _) = req(&w.sessions, &mut jar, async |s| {
        s.log_in("ada").unwrap();
        s.insert("a", &1).unwrap();
        s.set_lifetime(Some(Duration::from_secs(100)));
        s.set_label(Some("Firefox"));
    })
    .await;
    o.unwrap();
    req(&w.sessions, &mut jar, async |s| {
        assert_eq!(s.owner().as_deref(), Some("ada"));
        assert!(
            s.lineage().is_some(),
            "it is stored, and MIGRATING says that its lineage names it"
        );
    })
    .await;
}

#[tokio::test]
async fn the_label_is_stored_in_the_flask_profile_or_refused() {
    let w = world(Settings::flask());
    let mut jar = Jar::default();
    let (o, _) = req(&w.sessions, &mut jar, async |s| {
        s.insert("a", &1).unwrap();
        s.set_label(Some("Firefox"));
    })
    .await;
    o.unwrap();
    let l = req(&w.sessions, &mut jar, async |s| s.label()).await.1;
    assert_eq!(l.as_deref(), Some("Firefox"));
}

// ---- used_at

#[tokio::test]
async fn a_device_was_last_used_when_it_was_used() {
    for refresh in [Refresh::OnChange, Refresh::WhenDue, Refresh::EveryAccess] {
        let w = world(
            settings()
                .with_refresh(refresh)
                .with_idle_timeout(Duration::from_secs(3600)),
        );
        let mut jar = login(&w.sessions, "ada").await;
        w.time.go(Duration::from_secs(1800));
        req(&w.sessions, &mut jar, async |s| {
            assert!(s.owner().is_some())
        })
        .await
        .0
        .unwrap();
        let list = w.sessions.of_owner("ada").await.unwrap();
        let ago = w
            .time
            .now()
            .duration_since(list[0].used_at().unwrap())
            .unwrap();
        assert!(ago <= Duration::from_secs(360), "{refresh:?} {ago:?}");
    }
}

// ---- from Flask to native

async fn log_out_everywhere_after_flask(
    mode: FlaskSessions,
    login_in_flask: bool,
    then_read: bool,
) {
    let time = Time::new();
    let store = Odd::new(&time);
    let keys = SecretKeys::new(SECRET).unwrap();
    let cookie = CookieAttributes {
        name: "session".into(),
        ..Default::default()
    };
    let flask = over(
        &time,
        &store,
        Settings::flask()
            .with_keys(keys.clone())
            .with_cookie(cookie.clone()),
    );
    let native = settings().with_cookie(cookie);
    let both = over(&time, &store, native.clone().with_flask_sessions(mode));
    let only = over(&time, &store, native);
    let mut jar = Jar::default();
    req(&flask, &mut jar, async |s| {
        s.insert("a", &1).unwrap();
        if login_in_flask {
            s.log_in("ada").unwrap()
        }
    })
    .await
    .0
    .unwrap();
    if !login_in_flask {
        let (o, a) = req(&both, &mut jar, async |s| {
            let a = s.get::<i32>("a").unwrap();
            s.log_in("ada").unwrap();
            a
        })
        .await;
        o.unwrap();
        assert_eq!(a, Some(1));
    }
    if then_read {
        req(&both, &mut jar, async |s| {
            assert_eq!(s.owner().as_deref(), Some("ada"))
        })
        .await
        .0
        .unwrap();
    }
    let fresh = login(&both, "ada").await;
    // Everybody's old session is over by now; "ada" has a native one, and asks for its end.
    time.go(Duration::from_secs(20 * 86_400));
    let fresh = login(&only, "ada").await;
    let n = only.end_all_of("ada").await;
    assert!(n.is_ok(), "{mode:?} {n:?}");
    assert_eq!(who(&only, &fresh).await, None);
}

#[tokio::test]
async fn log_out_everywhere_works_after_flasks_sessions_were_kept() {
    log_out_everywhere_after_flask(FlaskSessions::Keep, false, false).await;
}

#[tokio::test]
async fn log_out_everywhere_works_after_flasks_sessions_were_kept_and_read() {
    log_out_everywhere_after_flask(FlaskSessions::Keep, true, true).await;
}

#[tokio::test]
async fn log_out_everywhere_works_after_flasks_sessions_were_to_be_moved_and_only_read() {
    log_out_everywhere_after_flask(FlaskSessions::Move, true, true).await;
}

// ---- "no runtime" (README of session-core, ARCHITECTURE)

#[test]
fn a_session_needs_no_runtime() {
    let session = Session::in_memory();
    session.insert("a", &1).unwrap();
    let saved = futures_util::FutureExt::now_or_never(session.save());
    assert!(saved.unwrap().is_ok());
}

// ---- to change a session that could not be loaded

#[tokio::test]
async fn a_session_that_could_not_be_loaded_cannot_be_emptied_with_success() {
    // `remove`, `take` and `take_flashes` answer the same; of two of them tests/edges/outage.rs says that they only read.
    let acts: Vec<(&str, Box<dyn Fn(&Session)>)> = vec![("clear", Box::new(|s| s.clear()))];
    let mut bad = Vec::new();
    for (name, act) in &acts {
        let w = world(settings().with_on_store_failure(OnStoreFailure::Anonymous));
        let mut jar = Jar::default();
        req(&w.sessions, &mut jar, async |s| {
            s.insert("cart", &1).unwrap()
        })
        .await
        .0
        .unwrap();
        w.store.fail.store(true, Ordering::SeqCst);
        let (visit, s) = open(&w.sessions, &jar).await;
        w.store.fail.store(false, Ordering::SeqCst);
        act(&s);
        let saved = s.save().await;
        let o = finish(&visit).await;
        let cart = req(&w.sessions, &mut jar, async |s| {
            s.get::<i32>("cart").unwrap()
        })
        .await
        .1;
        if o.is_ok() && cart.is_some() {
            bad.push((*name, saved));
        }
    }
    assert!(bad.is_empty(), "a success, and the cart is full: {bad:?}");
}

// ---- the contract of stores

#[derive(Clone, Debug)]
struct Strict(MemoryStore, Arc<Mutex<Vec<String>>>);
impl Strict {
    fn look(&self, r: &Record) {
        if r.bytes.len() > self.0.limit() {
            self.1.lock().unwrap().push(format!(
                "{} bytes, the limit is {}",
                r.bytes.len(),
                self.0.limit()
            ));
        }
    }
}
#[async_trait]
impl SessionStore for Strict {
    fn limit(&self) -> usize {
        self.0.limit()
    }
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.0.load(key).await
    }
    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.look(record);
        self.0.insert(key, record).await
    }
    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.look(record);
        self.0.update(key, record, revision).await
    }
    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.0.delete(key).await
    }
}

#[tokio::test]
async fn no_store_is_given_a_record_beyond_its_limit() {
    let store = Strict(MemoryStore::new().with_limit(256), Arc::default());
    let prefix = KeyPrefix::new(&"p".repeat(128)).unwrap();
    let sessions =
        Sessions::new(settings().with_key_prefix(prefix), Arc::new(store.clone())).unwrap();
    let mut jar = Jar::default();
    req(&sessions, &mut jar, async |s| s.insert("a", &1).unwrap())
        .await
        .0
        .unwrap();
    req(&sessions, &mut jar, async |s| s.renew())
        .await
        .0
        .unwrap();
    assert_eq!(*store.1.lock().unwrap(), [""; 0]);
}

// ---- a session whose idle timeout runs out under a long upload

async fn upload_beside(
    after: Duration,
    end: impl AsyncFnOnce(&World, &Jar),
    flask: bool,
) -> (Result<Outcome>, Option<i32>) {
    let base = if flask { Settings::flask() } else { settings() };
    // A cookie without an end, so that the browser still sends it.
    let w = world(
        base.with_permanent(false)
            .with_idle_timeout(Duration::from_secs(60)),
    );
    let mut jar = Jar::default();
    req(&w.sessions, &mut jar, async |s| {
        s.insert("a", &1).unwrap();
        s.log_in("ada").unwrap();
    })
    .await
    .0
    .unwrap();
    w.time.go(Duration::from_secs(59));
    // The upload begins in time, and its change is stored later.
    let (visit, upload) = open(&w.sessions, &jar).await;
    w.time.go(after);
    end(&w, &jar).await;
    upload.insert("uploaded", &1).unwrap();
    let o = finish(&visit).await;
    if let Ok(o) = &o {
        jar.take(o);
    }
    let up = req(&w.sessions, &mut jar.clone(), async |s| {
        s.get::<i32>("uploaded").unwrap()
    })
    .await
    .1;
    (o, up)
}

#[tokio::test]
async fn a_logout_ends_a_session_that_an_upload_would_prolong() {
    for flask in [false, true] {
        for after in [0, 1, 5, 100, 500] {
            let (o, up) = upload_beside(
                Duration::from_secs(after),
                async |w, jar| {
                    let mut jar = jar.clone();
                    req(&w.sessions, &mut jar, async |s| s.destroy())
                        .await
                        .0
                        .unwrap();
                },
                flask,
            )
            .await;
            assert_eq!(up, None, "flask {flask} after {after} {o:?}");
        }
    }
}

// ---- a list of devices of several pages

/// Gives one record a page: those that were there when the first page was asked for, each as it is now.
#[derive(Clone)]
struct Paged {
    inner: MemoryStore,
    keys: Arc<Mutex<Vec<StoreKey>>>,
    between: Arc<
        Mutex<
            Option<Box<dyn FnOnce() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>>,
        >,
    >,
}
impl std::fmt::Debug for Paged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Paged")
    }
}
#[async_trait]
impl SessionStore for Paged {
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
        self.inner.update(key, record, revision).await
    }
    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.inner.delete(key).await
    }
}
#[async_trait]
impl OwnerIndex for Paged {
    async fn owned_by(&self, owner: &OwnerKey, cursor: Option<&Cursor>, _: usize) -> Result<Page> {
        let at = match cursor {
            None => {
                let all = self.inner.owned_by(owner, None, 1000).await?;
                *self.keys.lock().unwrap() = all.records.into_iter().map(|r| r.key).collect();
                0
            }
            Some(c) => {
                let between = self.between.lock().unwrap().take();
                if let Some(work) = between {
                    work().await;
                }
                c.as_bytes()[0]
            }
        };
        let keys = self.keys.lock().unwrap().clone();
        let mut records = Vec::new();
        if let Some(key) = keys.get(usize::from(at)) {
            if let Some(loaded) = self.inner.load(key).await? {
                records.push(session_core::Listed {
                    key: key.clone(),
                    head: loaded.bytes,
                });
            }
        }
        let next = (usize::from(at) + 1 < keys.len()).then(|| Cursor::new(vec![at + 1]));
        Ok(Page { records, next })
    }
}

#[tokio::test]
async fn a_session_that_is_renewed_between_two_pages_is_in_the_list() {
    let store = Paged {
        inner: MemoryStore::new(),
        keys: Arc::default(),
        between: Arc::default(),
    };
    let sessions = Sessions::with_owners(settings(), Arc::new(store.clone())).unwrap();
    let one = login(&sessions, "ada").await;
    let two = login(&sessions, "ada").await;
    assert_eq!(sessions.of_owner("ada").await.unwrap().len(), 2);
    // Both are renewed between the first page and the second: one of them is on the second.
    let s = sessions.clone();
    *store.between.lock().unwrap() = Some(Box::new(move || {
        Box::pin(async move {
            for jar in [one, two] {
                req(&s, &mut jar.clone(), async |s: &Session| s.renew())
                    .await
                    .0
                    .unwrap();
            }
        })
    }));
    assert_eq!(sessions.of_owner("ada").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_logout_is_one_on_every_process_though_their_clocks_differ() {
    let idle = Duration::from_secs(1800);
    let w = world(settings().with_permanent(false).with_idle_timeout(idle));
    // Another process on the same store, five seconds ahead: far less than a tenth of the idle timeout.
    let time = w.time.clone();
    let store = Arc::new(w.store.clone());
    let ahead = Sessions::with_clock(
        settings().with_permanent(false).with_idle_timeout(idle),
        store.clone(),
        Some(store),
        Arc::new(move || time.now() + Duration::from_secs(5)),
    )
    .unwrap();
    let jar = login(&w.sessions, "ada").await;
    w.time.go(idle - Duration::from_secs(2));
    let (answered, ()) = req(&ahead, &mut jar.clone(), async |s| s.destroy()).await;
    assert!(answered.is_ok(), "the log-out is answered");
    // Used once more, it lives on for as long as it is used.
    for _ in 0..3 {
        assert_eq!(who(&w.sessions, &jar).await, None, "logged out, and alive");
        w.time.go(idle / 2);
    }
}
