use session_core::{config::Refresh, *};
use std::sync::Arc;

const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";
fn keys() -> SecretKeys {
    SecretKeys::new(SECRET).unwrap()
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

// A request that knows that its session was renewed sends the old id all the same.
#[tokio::test]
async fn a_request_that_followed_the_renewal_sends_the_old_id() {
    let settings = Settings::new(keys()).with_refresh(Refresh::EveryAccess);
    let sessions = Sessions::with_owners(settings, Arc::new(MemoryStore::new())).unwrap();
    let (v, s) = open(&sessions, None).await;
    s.insert("a", &1).unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (slow, s) = open(&sessions, Some(&cookie)).await;
    s.insert("b", &2).unwrap();
    let _ = s.save().await.unwrap();
    let (v, other) = open(&sessions, Some(&cookie)).await;
    other.log_in("ada").unwrap();
    let renewed = pair(&answer(&v).await.unwrap()); // answered
    s.insert("c", &3).unwrap(); // stored in the successor
    let late = answer(&slow).await.unwrap();
    let (_, now) = open(&sessions, Some(&renewed)).await;
    println!("{:?}; {late:?}", now.keys());
    assert!(
        late.set_cookie.is_none(),
        "the old id is sent after the renewal was answered"
    );
}

// A renewal that lost to another leaves its request with an ended session: what it changes next is dropped, with a 2xx.
#[tokio::test]
async fn a_change_after_a_renewal_that_lost_is_dropped() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let (v, s) = open(&sessions, None).await;
    s.log_in("ada").unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (v1, s1) = open(&sessions, Some(&cookie)).await;
    let (v2, s2) = open(&sessions, Some(&cookie)).await;
    s2.renew();
    let renewed = pair(&answer(&v2).await.unwrap());
    s1.renew();
    println!("{:?}, owner {:?}", s1.save().await, s1.owner());
    s1.insert("order", &1).unwrap();
    let done = answer(&v1).await;
    println!("{done:?}");
    let (_, now) = open(&sessions, Some(&renewed)).await;
    assert_eq!(now.owner().as_deref(), Some("ada"));
    if done.is_ok() {
        assert_eq!(
            now.get::<i64>("order").unwrap(),
            Some(1),
            "a 2xx, the session is alive, the change is nowhere"
        );
    }
}

// The same without a save in between, for comparison: must pass.
#[tokio::test]
async fn a_change_together_with_a_renewal_that_lost_is_kept() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let (v, s) = open(&sessions, None).await;
    s.log_in("ada").unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (v1, s1) = open(&sessions, Some(&cookie)).await;
    let (v2, s2) = open(&sessions, Some(&cookie)).await;
    s2.renew();
    let renewed = pair(&answer(&v2).await.unwrap());
    s1.renew();
    s1.insert("order", &1).unwrap();
    answer(&v1).await.unwrap();
    let (_, now) = open(&sessions, Some(&renewed)).await;
    assert_eq!(now.get::<i64>("order").unwrap(), Some(1));
}

// A dropped save of a login: the browser keeps an id that is retired.
#[tokio::test]
async fn log_out_in_a_request_whose_session_was_renewed_by_itself() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let (v, s) = open(&sessions, None).await;
    s.log_in("ada").unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (v1, s1) = open(&sessions, Some(&cookie)).await;
    s1.renew();
    let _ = s1.save().await.unwrap();
    s1.destroy();
    let out = answer(&v1).await.unwrap();
    println!("{out:?}");
    assert!(out.set_cookie.unwrap().contains("Max-Age=0"));
}

// A lost login's session goes on: destroy after a lost renewal must end the successor.
#[tokio::test]
async fn a_log_out_after_a_renewal_that_lost_ends_the_session() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let (v, s) = open(&sessions, None).await;
    s.log_in("ada").unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (v1, s1) = open(&sessions, Some(&cookie)).await;
    let (v2, s2) = open(&sessions, Some(&cookie)).await;
    s2.renew();
    let renewed = pair(&answer(&v2).await.unwrap());
    s1.renew();
    let _ = s1.save().await;
    s1.destroy();
    let done = answer(&v1).await;
    println!("{done:?}");
    let (_, now) = open(&sessions, Some(&renewed)).await;
    if done.is_ok() {
        assert_eq!(
            now.owner(),
            None,
            "a log-out was answered with a 2xx, and ada is logged in"
        );
    }
}

// The same through `reload` of a session that another request renewed, after the marker's life is not needed: at once.
#[tokio::test]
async fn a_log_out_after_reload_of_a_renewed_session_ends_it() {
    let sessions =
        Sessions::with_owners(Settings::new(keys()), Arc::new(MemoryStore::new())).unwrap();
    let (v, s) = open(&sessions, None).await;
    s.log_in("ada").unwrap();
    let cookie = pair(&answer(&v).await.unwrap());
    let (v1, s1) = open(&sessions, Some(&cookie)).await;
    let (v2, s2) = open(&sessions, Some(&cookie)).await;
    s2.renew();
    let renewed = pair(&answer(&v2).await.unwrap());
    s1.reload().await.unwrap();
    s1.destroy();
    answer(&v1).await.unwrap();
    let (_, now) = open(&sessions, Some(&renewed)).await;
    assert_eq!(now.owner(), None);
}
