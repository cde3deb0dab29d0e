use session_core::{
    config::{Env, OnStoreFailure},
    *,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";
fn keys() -> SecretKeys {
    SecretKeys::new(SECRET).unwrap()
}

#[derive(Debug, Clone, Default)]
struct Slow {
    inner: MemoryStore,
    down: Arc<AtomicBool>,
    update: Duration,
}
#[async_trait]
impl SessionStore for Slow {
    fn limit(&self) -> usize {
        self.inner.limit()
    }
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::backend("slow", "down"));
        }
        self.inner.load(key).await
    }
    async fn insert(&self, key: &StoreKey, r: &Record) -> Result<Write> {
        self.inner.insert(key, r).await
    }
    async fn update(&self, key: &StoreKey, r: &Record, v: &Revision) -> Result<Write> {
        tokio::time::sleep(self.update).await;
        self.inner.update(key, r, v).await
    }
    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.inner.delete(key).await
    }
}
#[async_trait]
impl OwnerIndex for Slow {
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

// `Anonymous`: a log-out is a 503, a log-out everywhere a success.
#[tokio::test]
async fn anonymous_log_out_everywhere_is_a_false_success() {
    let store = Slow::default();
    let settings = Settings::new(keys()).with_on_store_failure(OnStoreFailure::Anonymous);
    let sessions = Sessions::with_owners(settings, Arc::new(store.clone())).unwrap();
    let cookie = logged_in(&sessions, "ada").await;
    store.down.store(true, Ordering::SeqCst);
    let (v, s) = open(&sessions, Some(&cookie)).await;
    s.destroy();
    println!("log-out: {:?}", answer(&v).await);
    let (v, s) = open(&sessions, Some(&cookie)).await;
    let ended = s.log_out_everywhere(false).await;
    let done = answer(&v).await;
    println!("log-out everywhere: {ended:?} {done:?}");
    assert!(ended.is_err() || done.is_err());
}

// A hundred sessions, a slow store: the whole store time for each.
#[tokio::test(start_paused = true)]
async fn log_out_everywhere_has_no_end() {
    let store = Slow {
        update: Duration::from_millis(900),
        ..Slow::default()
    };
    let sessions = Sessions::with_owners(Settings::new(keys()), Arc::new(store)).unwrap();
    let mut cookie = String::new();
    for _ in 0..100 {
        cookie = logged_in(&sessions, "ada").await;
    }
    let (_, s) = open(&sessions, Some(&cookie)).await;
    let begin = tokio::time::Instant::now();
    println!(
        "{:?} in {:?}",
        s.log_out_everywhere(false).await,
        begin.elapsed()
    );
    assert!(begin.elapsed() < Duration::from_secs(2));
}

// A blank after the comma.
#[tokio::test]
async fn a_blank_in_the_list_of_fallbacks_logs_everybody_out() {
    let store = Arc::new(MemoryStore::new());
    let (old, older, new) = (
        "old-key-0123456789-abcdefghijklmnop",
        "older-key-9876543210-qrstuvwxyzabcd",
        "new-key-5647382910-zyxwvutsrqponml",
    );
    let before = Sessions::with_owners(
        Settings::new(SecretKeys::new(older).unwrap()),
        store.clone(),
    )
    .unwrap();
    let cookie = logged_in(&before, "ada").await;
    let list = format!("{old}, {older}");
    let env: Env = [("SECRET_KEY", new), ("SECRET_KEY_FALLBACKS", list.as_str())]
        .into_iter()
        .collect();
    let after = Sessions::with_owners(Settings::from_env(&env).unwrap(), store).unwrap();
    assert_eq!(
        open(&after, Some(&cookie)).await.1.owner().as_deref(),
        Some("ada")
    );
}

// `update` of `_permanent` is not noticed as a change of the cookie's end.
#[tokio::test]
async fn permanent_by_update_sends_no_cookie() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let cookie = logged_in(&sessions, "ada").await;
    let (v, s) = open(&sessions, Some(&cookie)).await;
    s.update("_permanent", |_: Option<bool>| false).unwrap();
    assert!(answer(&v).await.unwrap().set_cookie.is_some());
}
