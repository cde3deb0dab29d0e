//! Counts increments by compare-and-set: each is carried out exactly once, also when replies are
//! lost or connections are killed.

use std::{
    iter,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::join_all;
use session_core::{Finish, Result, SessionStore, Sessions, Settings, Write};
use session_redis::RedisStore;
use session_tests::{ChaosProxy, Disruption, RedisServer, rounds};

use crate::common::{
    KINDS, Kind, assert_refused, changes_sent, insert, key, load, record, store, text, update,
};

/// Adds one to a counter. Tries again while the update is refused. After an error, the last update
/// may or may not have been carried out.
async fn increment(store: &RedisStore, (name, kind): (&str, Kind)) -> Result<()> {
    loop {
        let loaded = store.load(&key(name)).await?.expect("the counter exists");
        let next = record(kind(&(number(&loaded.bytes) + 1).to_string()));
        if let Write::Stored(_) = store.update(&key(name), &next, &loaded.revision).await? {
            return Ok(());
        }
    }
}

async fn count(store: &RedisStore, name: &str) -> usize {
    number(&load(store, name).await.unwrap().bytes)
}

fn number(bytes: &[u8]) -> usize {
    text(bytes).parse().unwrap()
}

/// Each names the record that the one before it stores, and is sent before that is answered.
#[tokio::test]
async fn updates_of_one_thread_are_carried_out_in_their_order() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for (name, kind) in KINDS {
        // Long ones are sent without a batch.
        for filler in ["", &"x".repeat(40_000)] {
            let mut revision = insert(&store, &format!("{name}{}", filler.len()), kind("0")).await;
            let updates: Vec<_> = (1..=60)
                .map(|number| {
                    let next = record(kind(&format!("{number}{filler}")));
                    let before = revision.clone();
                    revision = store.next_revision(&next).expect("it is known");
                    let (store, key) = (store.clone(), key(&format!("{name}{}", filler.len())));
                    async move { store.update(&key, &next, &before).await.unwrap() }
                })
                .collect();
            for (write, number) in join_all(updates).await.into_iter().zip(1..) {
                assert!(write.is_stored(), "{name} {}: {number}", filler.len());
            }
        }
    }
}

/// Their changes follow each other in batches. One by one, each change would be a read of the
/// server's own.
#[tokio::test]
async fn requests_that_change_one_session_share_batches() {
    const REQUESTS: usize = 60;
    const TIMES: usize = 5;
    let server = RedisServer::start(&[]).await;
    let store = Arc::new(store(&server.url()));
    let settings = Settings::unsigned().with_store_timeout(Duration::from_secs(10));
    let sessions = Sessions::new(settings, store).unwrap();
    let cookie = changed(&sessions, "").await.unwrap();
    for _ in 0..2 {
        let before = reads(&server);
        for _ in 0..TIMES {
            join_all((0..REQUESTS).map(|_| changed(&sessions, &cookie))).await;
        }
        let reads = reads(&server) - before;
        assert!(reads < TIMES * REQUESTS / 2, "{reads}");
    }
    let count = stored_count(&sessions, &cookie).await;
    assert_eq!(count, Some(1 + 2 * TIMES * REQUESTS));
}

/// A task that moves to another thread writes there, before the write that it follows from. So
/// nothing is sent behind a write that is not answered yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_on_several_threads_do_not_refuse_each_other() {
    const REQUESTS: usize = 64;
    const TIMES: usize = 20;
    let server = RedisServer::start(&[]).await;
    let store = Arc::new(store(&server.url()));
    let settings = Settings::unsigned().with_store_timeout(Duration::from_secs(10));
    let sessions = Sessions::new(settings, store).unwrap();
    let cookie = changed(&sessions, "").await.unwrap();
    server.command("CONFIG RESETSTAT");
    let tasks: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let (sessions, cookie) = (sessions.clone(), cookie.clone());
            tokio::spawn(async move {
                for _ in 0..TIMES {
                    changed(&sessions, &cookie).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let changes = REQUESTS * TIMES;
    let sent = changes_sent(&server);
    assert!(
        sent >= changes && sent < changes * 5 / 4,
        "{sent} for {changes}"
    );
    assert_eq!(stored_count(&sessions, &cookie).await, Some(1 + changes));
}

/// A request that changes the session of `cookie`. Returns the cookie that it set, if it set one.
async fn changed(sessions: &Sessions, cookie: &str) -> Option<String> {
    let request = sessions.begin_request();
    let session = request.session(&mut iter::once(cookie.as_bytes())).await;
    let increment = |n: Option<usize>| n.unwrap_or(0) + 1;
    session.unwrap().update("n", increment).unwrap();
    let outcome = match request.finish() {
        Finish::Ready(outcome) => outcome,
        Finish::Pending(saving) => saving.await.unwrap(),
    };
    let set_cookie = outcome.set_cookie?;
    set_cookie.split(';').next().map(str::to_owned)
}

async fn stored_count(sessions: &Sessions, cookie: &str) -> Option<usize> {
    let request = sessions.begin_request();
    let session = request.session(&mut iter::once(cookie.as_bytes())).await;
    session.unwrap().get("n").unwrap()
}

/// How often the server has read what clients sent.
fn reads(server: &RedisServer) -> usize {
    let stats = server.command("INFO stats");
    let name = "total_reads_processed:";
    let number = stats.lines().find_map(|line| line.strip_prefix(name));
    number.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_by_two_stores_are_exact() {
    let server = RedisServer::start(&[]).await;
    let stores = [store(&server.url()), store(&server.url())];
    for (name, kind) in KINDS {
        insert(&stores[0], name, kind("0")).await;
    }
    let each = rounds() * 5;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = stores[task % 2].clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    for counter in KINDS {
                        increment(&store, counter).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for (name, _) in KINDS {
        assert_eq!(count(&stores[1], name).await, 8 * each, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_fail_no_read_and_repeat_no_write() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let (done, unknown) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    let reads: [AtomicUsize; 8] = Default::default();
    for name in 0..reads.len() {
        insert(&store, &name.to_string(), KINDS[name % KINDS.len()].1("0")).await;
    }
    let changing = join_all(reads.iter().enumerate().map(|(name, reads)| {
        let (store, done, unknown, stop) = (&store, &done, &unknown, &stop);
        async move {
            let ((_, kind), name) = (KINDS[name % KINDS.len()], name.to_string());
            while !stop.load(Relaxed) {
                let loaded = store.load(&key(&name)).await;
                let loaded = loaded.expect("a read is sent again").unwrap();
                reads.fetch_add(1, Relaxed);
                let next = record(kind(&(number(&loaded.bytes) + 1).to_string()));
                match store.update(&key(&name), &next, &loaded.revision).await {
                    Ok(Write::Stored(_)) => done.fetch_add(1, Relaxed),
                    Ok(Write::Refused) => panic!("there is no other writer"),
                    Err(_) => unknown.fetch_add(1, Relaxed),
                };
            }
        }
    }));
    let killing = async {
        for _ in 0..100 {
            // A read is sent again only once, so no read must be killed twice.
            let before = reads.each_ref().map(|reads| reads.load(Relaxed));
            while reads
                .iter()
                .zip(before)
                .any(|(reads, before)| reads.load(Relaxed) < before + 2)
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.command("CLIENT KILL TYPE normal");
        }
        stop.store(true, Relaxed);
    };
    tokio::join!(changing, killing);
    let mut total = 0;
    for name in 0..reads.len() {
        total += count(&store, &name.to_string()).await;
    }
    let (done, unknown) = (done.into_inner(), unknown.into_inner());
    assert!(done > 100, "{done}");
    assert!(
        (done..=done + unknown).contains(&total),
        "{done} + {unknown} unknown: {total}"
    );
}

#[tokio::test]
async fn a_write_whose_reply_was_lost_or_cut_is_an_error_and_is_not_sent_again() {
    for (_, kind) in KINDS {
        is_an_error_if_its_reply_was_lost_or_cut(kind).await;
    }
}

async fn is_an_error_if_its_reply_was_lost_or_cut(kind: Kind) {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    // A call whose reply never comes waits for this long.
    let store = store(&server.url_by(proxy.port()));
    let store = store.with_response_timeout(Duration::from_millis(1_500));
    let (zero, last) = (record(kind("0")), record(kind("last")));
    let mut revision = insert(&store, "counter", &zero.bytes).await;
    for round in 0..rounds() {
        // After this the connection knows the command for a change.
        revision = update(&store, "counter", &zero, &revision).await;
        // The reply is ":1\r\n" or "+OK\r\n". A part of it must never be taken for the whole.
        proxy.set(if round % 16 == 0 {
            Disruption::DropReply
        } else {
            Disruption::CutReply(round % 4)
        });
        let next = record(kind(&(round + 1).to_string()));
        store
            .update(&key("counter"), &next, &revision)
            .await
            .unwrap_err();
        let loaded = load(&store, "counter").await.unwrap();
        assert_eq!(
            loaded.bytes, next.bytes,
            "carried out once, in spite of the error"
        );
        assert_refused(&store, "counter", &next, &revision).await;
        revision = loaded.revision;
    }
    revision = update(&store, "counter", &zero, &revision).await;
    server.command("CONFIG RESETSTAT");
    proxy.set(Disruption::DropReply);
    store
        .update(&key("counter"), &last, &revision)
        .await
        .unwrap_err();
    assert_eq!(changes_sent(&server), 1);
}

#[tokio::test]
async fn a_read_whose_reply_was_cut_is_sent_again() {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store(&server.url_by(proxy.port()));
    let bytes = "0123456789";
    insert(&store, "a", bytes).await;
    for length in 0..17 {
        proxy.set(Disruption::CutReply(length));
        let loaded = load(&store, "a").await.unwrap();
        assert_eq!(loaded.bytes, bytes, "{length}");
    }
}
