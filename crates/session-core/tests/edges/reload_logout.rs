use session_core::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};
fn keys() -> SecretKeys {
    SecretKeys::new("Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP").unwrap()
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
fn clock(now: &Arc<AtomicU64>) -> Clock {
    let now = now.clone();
    Arc::new(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::SeqCst)))
}

// SECURITY.md: "a log-out that loaded its session, and is overtaken by a renewal for more than a minute, is a 503, not a false success".
#[tokio::test(start_paused = true)]
async fn a_log_out_after_reload_is_a_false_success() {
    let now = Arc::new(AtomicU64::new(1_800_000_000));
    let store = Arc::new(MemoryStore::new().with_clock(clock(&now)));
    let sessions = Sessions::with_clock(Settings::new(keys()), store, None, clock(&now)).unwrap();
    for reload in [false, true] {
        let (v, s) = open(&sessions, None).await;
        s.log_in("ada").unwrap();
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
        s.destroy();
        let done = answer(&slow).await;
        println!("reload {reload}: {done:?}");
        let (_, s) = open(&sessions, Some(&renewed)).await;
        if done.is_ok() {
            assert_eq!(s.owner(), None, "a 2xx, and ada is logged in");
        }
    }
}
