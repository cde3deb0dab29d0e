use std::time::Duration;

use super::*;
use crate::{
    Session, Settings,
    cookie::CookieAttributes,
    memory::MemoryStore,
    request_session::{Finish, RequestSession},
    store::SessionStore,
};

const HOUR: Duration = Duration::from_secs(3600);

fn settings() -> Settings {
    let cookie = CookieAttributes {
        name: "session".into(),
        secure: false,
        ..CookieAttributes::default()
    };
    Settings::unsigned().with_cookie(cookie)
}

fn sessions(store: &Arc<MemoryStore>) -> Sessions {
    Sessions::new(settings(), store.clone()).unwrap()
}

/// A request with this cookie, which changes its session.
async fn request(
    sessions: &Sessions,
    cookie: &str,
    change: impl FnOnce(&Session),
) -> Option<String> {
    let request: RequestSession = sessions.begin_request();
    let session = request.session(&mut [cookie.as_bytes()].into_iter()).await;
    change(&session.unwrap());
    let headers = match request.finish() {
        Finish::Ready(headers) => headers,
        Finish::Pending(saving) => saving.await.unwrap(),
    };
    headers.set_cookie
}

async fn owner(sessions: &Sessions, cookie: &str) -> Option<String> {
    let mut owner = None;
    request(sessions, cookie, |it| {
        owner = it.owner().map(|it| it.to_string());
    })
    .await;
    owner
}

async fn only(all: &AllSessions) -> StoredSession {
    let page = all.page(None, 10).await.unwrap();
    let [session] = &page.sessions[..] else {
        panic!("{page:?}");
    };
    session.clone()
}

#[tokio::test]
async fn a_second_copy_ends_what_has_ended_since_and_leaves_what_is_later_there() {
    let stores = [(); 2].map(|()| Arc::new(MemoryStore::new()));
    let [from, to] = [&stores[0], &stores[1]].map(sessions);
    let mut cookies = Vec::new();
    for name in ["ada", "bob", "eve", "flo"] {
        cookies.push(from.cookie_of(|it| it.log_in(name)).await.unwrap());
    }
    let copied = async |is_rehearsal| {
        let page = from.all().unwrap().copy(&to, None, 10, is_rehearsal).await;
        let page = page.unwrap();
        assert!(page.failed.is_empty(), "{page:?}");
        (page.copied, page.present)
    };
    assert_eq!(copied(false).await, (4, 0));
    tokio::time::sleep(Duration::from_millis(5)).await;
    request(&from, &cookies[0], Session::log_out).await;
    request(&from, &cookies[1], |it| it.insert("n", &1).unwrap()).await;
    request(&to, &cookies[2], |it| it.insert("n", &2).unwrap()).await;
    let renewed = request(&from, &cookies[3], Session::renew).await.unwrap();
    // The two that were renewed, and the one that was changed here, and the one that ended.
    assert_eq!(copied(true).await, (4, 1));
    assert_eq!(copied(false).await, (4, 1));
    assert_eq!(owner(&to, &cookies[0]).await, None);
    for (cookie, expected) in [(&cookies[1], 1), (&cookies[2], 2)] {
        let read = |it: &Session| assert_eq!(it.get::<u32>("n").unwrap(), Some(expected));
        request(&to, cookie, read).await;
    }
    let renewed = renewed.split(';').next().unwrap();
    assert_eq!(owner(&to, renewed).await.as_deref(), Some("flo"));
    let page = to.all().unwrap().page(None, 10).await.unwrap();
    assert_eq!((page.sessions.len(), page.tombstones), (3, 2));
    assert_eq!(copied(false).await, (0, 5));
}

#[tokio::test]
async fn what_a_record_says_counts_and_not_the_timeouts_of_whoever_lists_it() {
    let stores = [(); 2].map(|()| Arc::new(MemoryStore::new()));
    let application = |store: &Arc<MemoryStore>| {
        let settings = settings().with_idle_timeout(90 * 24 * HOUR);
        Sessions::new(settings, store.clone()).unwrap()
    };
    let tool = |store: &Arc<MemoryStore>| {
        let later = Arc::new(move || SystemTime::now() + 2 * HOUR);
        let settings = settings()
            .with_idle_timeout(HOUR)
            .with_absolute_timeout(HOUR);
        let builder = Sessions::builder(settings, store.clone()).with_clock(later);
        builder.build().unwrap()
    };
    let [from, to] = [&stores[0], &stores[1]];
    let cookie = application(from).cookie_of(|it| it.log_in("ada")).await;
    let cookie = cookie.unwrap();
    let all = tool(from).all().unwrap();
    let copied = all.copy(&tool(to), None, 10, false).await.unwrap();
    assert_eq!((copied.copied, copied.expired), (1, 0));
    assert_eq!(
        owner(&application(to), &cookie).await.as_deref(),
        Some("ada")
    );
    let session = only(&all).await;
    assert!(session.expires_at() > SystemTime::now() + 80 * 24 * HOUR);
    assert!(all.end(&session).await.unwrap());
    assert_eq!(owner(&application(from), &cookie).await, None);
    let to_third = Moving::new(Arc::new(MemoryStore::new()), to.clone());
    let moved = tool(to).carry(&to_third, None, 10).await.unwrap();
    assert_eq!((moved.copied, moved.expired), (1, 0));
}

#[tokio::test]
async fn a_session_that_somebody_has_logged_in_to_since_is_not_ended() {
    let store = Arc::new(MemoryStore::new());
    let sessions = sessions(&store);
    let cookie = sessions.cookie_of(|it| it.insert("n", &1)).await.unwrap();
    let all = sessions.all().unwrap();
    let seen = only(&all).await;
    // A renewal alone changes nothing.
    let renewed = request(&sessions, &cookie, Session::renew).await.unwrap();
    let renewed = renewed.split(';').next().unwrap();
    let anonymous = only(&all).await;
    let login = request(&sessions, renewed, |it| it.log_in("ada").unwrap()).await;
    let login = login.unwrap();
    let login = login.split(';').next().unwrap();
    for seen in [&seen, &anonymous] {
        assert!(!all.end(seen).await.unwrap());
        assert_eq!(owner(&sessions, login).await.as_deref(), Some("ada"));
    }
    assert!(all.end(&only(&all).await).await.unwrap());
    assert_eq!(owner(&sessions, login).await, None);
}

#[tokio::test]
async fn a_session_on_its_way_counts_and_is_ended_in_both_stores_alone() {
    let [new, old] = [(); 2].map(|()| Arc::new(MemoryStore::new()));
    let there = sessions(&old);
    let cookie = there.cookie_of(|it| it.log_in("ada")).await.unwrap();
    let all = there.all().unwrap();
    let key = only(&all).await.key;
    let loaded = old.load(&key).await.unwrap().unwrap();
    let record = Record {
        bytes: loaded.bytes,
        expires_at: SystemTime::now() + HOUR,
        entry: None,
    };
    let moving = Moving::new(new.clone(), old.clone());
    assert!(moving.claim(&key, &record, &loaded.revision).await.unwrap());
    // Its process stopped here.
    assert!(all.end(&only(&all).await).await.is_err());
    let rehearsed = all.copy(&sessions(&new), None, 10, false).await.unwrap();
    assert_eq!((rehearsed.copied, rehearsed.failed.len()), (0, 1));
    let both = Arc::new(Moving::announced(new.clone(), old.clone()));
    let both = Sessions::new(settings(), both).unwrap();
    let all = both.all().unwrap();
    // It is in both lists, because this finishes the move.
    let page = all.page(None, 10).await.unwrap();
    assert!(all.end(&page.sessions[0]).await.unwrap());
    for alone in [&there, &sessions(&new), &both] {
        assert_eq!(owner(alone, &cookie).await, None);
    }
}

#[tokio::test]
async fn a_session_that_is_renewed_between_two_pages_is_on_one_of_them() {
    const SESSIONS: usize = 40;
    let store = Arc::new(MemoryStore::new());
    let sessions = sessions(&store);
    let mut cookies = Vec::new();
    for _ in 0..SESSIONS {
        cookies.push(sessions.cookie_of(|it| it.insert("n", &1)).await.unwrap());
    }
    let all = sessions.all().unwrap();
    let (mut seen, mut cursor, mut pages) = (HashSet::new(), None, 0);
    loop {
        let page = all.page(cursor.as_ref(), 4).await.unwrap();
        seen.extend(page.sessions.iter().map(|it| *it.lineage()));
        // The new records are before the next page, or after it. Not at each page: the walk would never
        // get to the end of them.
        pages += 1;
        for cookie in cookies.iter_mut().filter(|_| pages < 4) {
            let renewed = request(&sessions, cookie, Session::renew).await.unwrap();
            renewed.split(';').next().unwrap().clone_into(cookie);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), SESSIONS);
}
