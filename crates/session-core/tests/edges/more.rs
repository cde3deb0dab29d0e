use session_core::{
    config::{Env, FlaskSessions, Refresh},
    *,
};
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Semaphore;

const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";
fn keys() -> SecretKeys {
    SecretKeys::new(SECRET).unwrap()
}

#[derive(Debug, Clone)]
struct Gated {
    inner: MemoryStore,
    held: Arc<AtomicBool>,
    gate: Arc<Semaphore>,
    slow: Duration,
}
impl Gated {
    fn new() -> Self {
        Self {
            inner: MemoryStore::new(),
            held: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            slow: Duration::ZERO,
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
        if !self.slow.is_zero() {
            tokio::time::sleep(self.slow).await;
        }
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

// A: a session of exactly 16,384 keys is stored and can never be read again.
#[tokio::test]
async fn sixteen_thousand_keys_are_stored_and_lost() {
    let sessions = Sessions::new(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let (v, s) = open(&sessions, None).await;
    for n in 0..16_384 {
        s.insert(&n.to_string(), &0).unwrap();
    }
    let done = answer(&v).await;
    println!("saved: {}", done.is_ok());
    if let Ok(done) = done {
        let (_, s) = open(&sessions, Some(&pair(&done))).await;
        assert_eq!(s.keys().len(), 16_384, "a 2xx, and the session is gone");
    }
}

// B: a removal of the last key in the Flask profile throws away what another request has just added.
#[tokio::test]
async fn flask_removal_of_the_last_key_loses_anothers_change() {
    let sessions = Sessions::new(
        Settings::flask().with_refresh(Refresh::OnChange),
        Arc::new(MemoryStore::new()),
    )
    .unwrap();
    let (v, s) = open(&sessions, None).await;
    s.insert("a", &1).unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (v1, s1) = open(&sessions, Some(&cookie)).await;
    let (v2, s2) = open(&sessions, Some(&cookie)).await;
    s2.insert("b", &2).unwrap();
    answer(&v2).await.unwrap(); // 2xx
    s1.remove("a");
    let done = answer(&v1).await;
    println!("{done:?}");
    let (_, s) = open(&sessions, Some(&cookie)).await;
    assert_eq!(
        s.get::<i64>("b").unwrap(),
        Some(2),
        "the other request's change was answered with a 2xx"
    );
}

// C: an empty key among the fallbacks.
#[tokio::test]
async fn a_trailing_comma_makes_every_signature_valid() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use hmac::{Hmac, KeyInit, Mac};
    let env: Env = [
        ("SECRET_KEY", SECRET),
        ("SESSION_USE_SIGNER", "true"),
        ("SECRET_KEY_FALLBACKS", "the-old-key-of-flask,"),
    ]
    .into_iter()
    .collect();
    let sessions = Sessions::new(
        Settings::flask().overlaid(&env).unwrap(),
        Arc::new(MemoryStore::new()),
    )
    .unwrap();
    let (v, s) = open(&sessions, None).await;
    s.insert("_user_id", "ada").unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    // What a reader of the store sees is the id alone; he signs it with nothing.
    let id = cookie
        .strip_prefix("session=")
        .unwrap()
        .split('.')
        .next()
        .unwrap();
    let mac = |key: &[u8], text: &[u8]| {
        let mut m = <Hmac<sha1::Sha1> as KeyInit>::new_from_slice(key).unwrap();
        m.update(text);
        m.finalize().into_bytes()
    };
    let derived = mac(b"", b"flask-session");
    let forged = format!(
        "session={id}.{}",
        URL_SAFE_NO_PAD.encode(mac(&derived, id.as_bytes()))
    );
    let (_, s) = open(&sessions, Some(&forged)).await;
    assert_eq!(
        s.get::<String>("_user_id").unwrap(),
        None,
        "a signature by the empty key was accepted"
    );
}

// D: `reload` in a stream uses up a budget that nothing refills.
#[tokio::test(start_paused = true)]
async fn reload_in_a_stream_times_out_for_ever() {
    let store = Gated {
        slow: Duration::from_millis(20),
        ..Gated::new()
    };
    let sessions = Sessions::new(Settings::new(keys()), Arc::new(store)).unwrap();
    let (v, s) = open(&sessions, None).await;
    s.insert("a", &1).unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (v, s) = open(&sessions, Some(&cookie)).await;
    answer(&v).await.unwrap(); // the head is sent, events follow
    for n in 0..200 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if let Err(e) = s.reload().await {
            panic!("event {n}: {e}; the store answers within 20 ms, the budget is 1 s");
        }
    }
}

fn clock(now: &Arc<AtomicU64>) -> Clock {
    let now = now.clone();
    Arc::new(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::SeqCst)))
}

// E: `reload` takes a session that was renewed long ago for one that ended; the change is dropped with a 2xx.
#[tokio::test(start_paused = true)]
async fn reload_after_a_renewal_of_long_ago_drops_changes_with_a_2xx() {
    let now = Arc::new(AtomicU64::new(1_800_000_000));
    let store = Arc::new(MemoryStore::new().with_clock(clock(&now)));
    let sessions = Sessions::with_clock(Settings::new(keys()), store, None, clock(&now)).unwrap();
    for reload in [false, true] {
        let (v, s) = open(&sessions, None).await;
        s.insert("a", &1).unwrap();
        let cookie = pair(&answer(&v).await.unwrap());
        let (slow, s) = open(&sessions, Some(&cookie)).await;
        let (v, other) = open(&sessions, Some(&cookie)).await;
        other.renew();
        let renewed = pair(&answer(&v).await.unwrap());
        now.fetch_add(100, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(100)).await;
        if reload {
            s.reload().await.unwrap();
        }
        s.insert("order", &1).unwrap();
        let done = answer(&slow).await;
        println!("reload {reload}: {done:?}");
        let (_, s) = open(&sessions, Some(&renewed)).await;
        println!("the session is alive: {:?}", s.keys());
        if done.is_ok() {
            assert_eq!(
                s.get::<i64>("order").unwrap(),
                Some(1),
                "a 2xx, and the change is nowhere"
            );
        }
    }
}

// F: `reload` goes on to another user's session.
#[tokio::test]
async fn reload_turns_ada_into_bob() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let cookie = logged_in(&sessions, "ada").await;
    let (slow, s) = open(&sessions, Some(&cookie)).await;
    assert_eq!(s.owner().as_deref(), Some("ada")); // authorised
    let (v, other) = open(&sessions, Some(&cookie)).await;
    other.log_in("bob").unwrap();
    other.insert("private", "bob's").unwrap();
    let bobs = pair(&answer(&v).await.unwrap());
    s.reload().await.unwrap();
    s.insert("form", "what ada sent").unwrap();
    answer(&slow).await.unwrap();
    println!("{:?} {:?}", s.owner(), s.get::<String>("private"));
    let (_, b) = open(&sessions, Some(&bobs)).await;
    assert_eq!(
        b.get::<String>("form").unwrap(),
        None,
        "ada's request wrote into bob's session"
    );
}

// G: a save that is not polled any more holds up the next for ever.
#[tokio::test(start_paused = true)]
async fn the_turn_has_no_time_limit() {
    let store = Gated::new();
    let sessions = Sessions::new(Settings::new(keys()), Arc::new(store.clone())).unwrap();
    let (visit, s) = open(&sessions, None).await;
    s.insert("a", &1).unwrap();
    store.held.store(true, Ordering::SeqCst);
    let mut first = pin!(s.save());
    std::future::poll_fn(|cx| {
        assert!(first.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    s.insert("b", &1).unwrap();
    let end = tokio::time::timeout(Duration::from_secs(3600), answer(&visit)).await;
    assert!(end.is_ok(), "an hour, with a store timeout of a second");
}

// H: the Flask profile has no owner index, and says so nowhere.
#[tokio::test]
async fn flask_profile_log_out_everywhere_is_a_false_success() {
    let sessions = Sessions::with_owners(Settings::flask(), Arc::new(MemoryStore::new())).unwrap();
    let (a, b) = (
        logged_in(&sessions, "ada").await,
        logged_in(&sessions, "ada").await,
    );
    let (v, s) = open(&sessions, Some(&a)).await;
    let ended = s.log_out_everywhere(false).await;
    let done = answer(&v).await;
    println!("{ended:?} {done:?}");
    if ended.is_ok() {
        assert_eq!(
            who(&sessions, &b).await,
            None,
            "log out everywhere said {ended:?}"
        );
    }
}

// I: `Move`: a session that was logged in to under the Flask profile is missed.
#[tokio::test]
async fn move_log_out_everywhere_misses_sessions() {
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
    let cookie = logged_in(&flask, "ada").await;
    let native = Sessions::with_owners(
        Settings::new(keys())
            .with_cookie(name())
            .with_flask_sessions(FlaskSessions::Move),
        Arc::new(store),
    )
    .unwrap();
    assert_eq!(who(&native, &cookie).await.as_deref(), Some("ada"));
    let ended = native.end_all_of("ada").await;
    println!("{ended:?}");
    assert_eq!(who(&native, &cookie).await, None, "said {ended:?}");
}

// J: no absolute timeout for sessions that Flask made.
#[tokio::test]
async fn the_absolute_timeout_never_ends_a_session_that_flask_made() {
    let now = Arc::new(AtomicU64::new(1_800_000_000));
    let store = Arc::new(MemoryStore::new().with_clock(clock(&now)));
    let day = Duration::from_secs(86_400);
    // As Flask writes it: no notes.
    let flask = Sessions::with_clock(Settings::flask(), store.clone(), None, clock(&now)).unwrap();
    let (v, s) = open(&flask, None).await;
    s.insert("_user_id", "ada").unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let here = Sessions::with_clock(
        Settings::flask()
            .with_absolute_timeout(day)
            .with_idle_timeout(day),
        store,
        None,
        clock(&now),
    )
    .unwrap();
    for n in 0..60 {
        now.fetch_add(43_200, Ordering::SeqCst);
        let (v, s) = open(&here, Some(&cookie)).await;
        if s.get::<String>("_user_id").unwrap().is_none() {
            return;
        }
        s.insert("n", &n).unwrap();
        answer(&v).await.unwrap();
    }
    panic!("30 days, changed twice a day, with an absolute timeout of a day");
}

// K: time of a request with a frozen store under EveryRequest.
#[tokio::test(start_paused = true)]
async fn every_request_waits_twice() {
    let store = Gated {
        slow: Duration::from_secs(3600),
        ..Gated::new()
    };
    let sessions = Sessions::new(
        Settings::new(keys()).with_refresh(Refresh::EveryRequest),
        Arc::new(store),
    )
    .unwrap();
    let other = Sessions::new(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let cookie = logged_in(&other, "ada").await;
    let begin = tokio::time::Instant::now();
    let visit = sessions.visit();
    // What SessionFuture::Opening does, then a handler that does not use the session; then one that does.
    let _ = visit
        .open_untouched(&mut [cookie.as_bytes()].into_iter())
        .await;
    let plain = begin.elapsed();
    assert!(
        visit
            .session(&mut [cookie.as_bytes()].into_iter())
            .await
            .is_err()
    );
    let used = begin.elapsed();
    println!("a route without a session: {plain:?}; with: {used:?}");
    assert!(used <= Duration::from_millis(1100), "{used:?}");
}
