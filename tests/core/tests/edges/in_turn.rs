//! Requests of one process that change one session at the same time take turns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::join_all;
use session_core::{
    Finish, Loaded, MemoryStore, Record, RequestSession, Result, Revision, SessionStore, Sessions,
    StoreKey, Write, async_trait,
};
use tokio::time::{Instant, sleep};

use crate::support::{Method, Request, Site, signed};

const ROUND_TRIP: Duration = Duration::from_millis(1);

/// A store that carries out its calls in the order in which they begin, and answers each after a
/// round trip. Its revisions are the records themselves.
#[derive(Debug, Default)]
struct InOrder {
    inner: MemoryStore,
    refused: AtomicUsize,
}

#[async_trait]
impl SessionStore for InOrder {
    fn limit(&self) -> usize {
        self.inner.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let loaded = self.inner.load(key).await?;
        sleep(ROUND_TRIP).await;
        Ok(loaded.map(|it| Loaded::compared_by_bytes(it.bytes)))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let write = self.inner.insert(key, record).await?;
        sleep(ROUND_TRIP).await;
        Ok(match write {
            Write::Stored(_) => Write::stored_bytes(record),
            Write::Refused => Write::Refused,
        })
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let held = self.inner.load(key).await?;
        let held = held.filter(|it| it.bytes == revision.as_bytes());
        let write = match held {
            Some(held) => self.inner.update(key, record, &held.revision).await?,
            None => Write::Refused,
        };
        sleep(ROUND_TRIP).await;
        Ok(match write {
            Write::Stored(_) => Write::stored_bytes(record),
            Write::Refused => {
                self.refused.fetch_add(1, Relaxed);
                Write::Refused
            }
        })
    }

    fn next_revision(&self, record: &Record) -> Option<Revision> {
        Some(Revision::new(record.bytes.clone()))
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.inner.delete(key).await
    }
}

async fn finish(request: &RequestSession) -> Option<String> {
    match request.finish() {
        Finish::Ready(outcome) => outcome.set_cookie,
        Finish::Pending(saving) => saving.await.unwrap().set_cookie,
    }
}

fn sessions(store: &Arc<InOrder>) -> Sessions {
    let builder = Sessions::builder(signed(), store.clone()).without_owner_lists();
    builder.build().unwrap()
}

/// A new session in `sessions`; the `Cookie` header that opens it.
async fn visited(sessions: &Sessions) -> String {
    let request = sessions.begin_request();
    let session = request.session(&mut std::iter::empty()).await.unwrap();
    session.insert("n", &0).unwrap();
    let set_cookie = finish(&request).await.unwrap();
    set_cookie.split(';').next().unwrap().to_owned()
}

async fn increment(sessions: &Sessions, cookie: &str) {
    let request = sessions.begin_request();
    let header = cookie.as_bytes();
    let session = request.session(&mut std::iter::once(header)).await.unwrap();
    session
        .update("n", |n: Option<u32>| n.unwrap_or(0) + 1)
        .unwrap();
    finish(&request).await;
}

async fn count(sessions: &Sessions, cookie: &str) -> Option<u32> {
    let request = sessions.begin_request();
    let header = cookie.as_bytes();
    let session = request.session(&mut std::iter::once(header)).await.unwrap();
    session.get("n").unwrap()
}

/// Each writes behind the one before, and does not wait for the answer to that.
#[tokio::test(start_paused = true)]
async fn requests_that_change_one_session_share_a_round_trip() {
    let store = Arc::new(InOrder::default());
    let sessions = sessions(&store);
    let cookie = visited(&sessions).await;
    let start = Instant::now();
    for round in 1..=5 {
        join_all((0..60).map(|_| increment(&sessions, &cookie))).await;
        assert_eq!(count(&sessions, &cookie).await, Some(60 * round));
    }
    // Of each round: the load, the write of the first, its load with a turn, the writes behind it,
    // and the count. Only the first time all write at once and are refused.
    let took = start.elapsed();
    assert!(took <= 5 * 5 * ROUND_TRIP, "{took:?}");
    assert_eq!(store.refused.load(Relaxed), 59);
}

/// A write that is refused has those behind it refused, too. They are made again, one by one.
#[tokio::test(start_paused = true)]
async fn requests_of_two_processes_lose_nothing_and_do_not_refuse_each_other_for_long() {
    // Which of the two is first is random, so single times take longer, and refuse more.
    const TIMES: u32 = 50;
    let (mut refused, mut took) = (0, Duration::ZERO);
    for _ in 0..TIMES {
        let one = of_two_processes().await;
        refused += one.0;
        took += one.1;
    }
    // One by one, they would take 270 ms.
    let (refused, took) = (refused / TIMES as usize, took / TIMES);
    assert!(took < Duration::from_millis(180), "{took:?}");
    assert!(refused <= 100, "{refused} beside 200 changes");
}

/// Twenty clients of each of two processes make five changes: how many writes are refused, and how
/// long it takes.
async fn of_two_processes() -> (usize, Duration) {
    let store = Arc::new(InOrder::default());
    let processes = [(); 2].map(|()| sessions(&store));
    let cookie = visited(&processes[0]).await;
    let start = Instant::now();
    let requests = processes.iter().flat_map(|process| [process; 20]);
    join_all(requests.map(|process| async {
        for _ in 0..5 {
            increment(process, &cookie).await;
        }
    }))
    .await;
    assert_eq!(count(&processes[0], &cookie).await, Some(200));
    (store.refused.load(Relaxed), start.elapsed())
}

/// Each gets the record that the one before it stored together with its turn, if that write began
/// while it waited.
#[tokio::test(start_paused = true)]
async fn of_requests_that_wait_for_each_other_only_the_first_load_again() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let mut requests = Vec::new();
    for _ in 0..8 {
        requests.push(site.open(&browser).await);
    }
    for request in &requests {
        let count = |n: Option<u32>| n.unwrap_or(0) + 1;
        request.update("n", count).unwrap();
    }
    site.store.slow(Method::Update, Duration::from_millis(5));
    site.store.calls();
    for answer in join_all(requests.iter().map(Request::answer)).await {
        answer.unwrap();
    }
    let calls = site.store.calls();
    let count = |method| calls.iter().filter(|call| **call == method).count();
    assert_eq!(count(Method::Update), 15);
    assert!(count(Method::Load) <= 2, "{calls:?}");
    assert_eq!(site.value(&browser, "n").await, Some(8));
}

/// What another process stored meanwhile is not lost.
#[tokio::test(start_paused = true)]
async fn a_record_that_came_with_the_turn_may_be_outdated() {
    let site = Site::new(signed());
    let other = site.with_settings(signed());
    let browser = site.visited().await;
    let mut requests = Vec::new();
    for number in 0..16 {
        let site = if number % 4 == 0 { &other } else { &site };
        requests.push(site.open(&browser).await);
    }
    for request in &requests {
        let count = |n: Option<u32>| n.unwrap_or(0) + 1;
        request.update("n", count).unwrap();
    }
    site.store.slow(Method::Update, Duration::from_millis(2));
    for answer in join_all(requests.iter().map(Request::answer)).await {
        answer.unwrap();
    }
    assert_eq!(site.value(&browser, "n").await, Some(16));
}
