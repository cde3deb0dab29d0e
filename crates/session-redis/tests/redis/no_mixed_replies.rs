//! No call ever returns another session's record.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use session_core::SessionStore;
use session_tests::{ChaosProxy, RedisServer, rounds};

use crate::common::{insert, key, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_calls_and_reset_connections_mix_up_no_replies() {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store(&server.url_by(proxy.port()));
    let (tasks, each) = (20, rounds() * 50);
    for name in 0..tasks {
        insert(&store, &name.to_string(), &name.to_string()).await;
    }
    let progress = Arc::new(AtomicUsize::new(0));
    let running: Vec<_> = (0..tasks)
        .map(|name| {
            let (store, progress) = (store.clone(), Arc::clone(&progress));
            tokio::spawn(async move {
                let name = name.to_string();
                let (mut checked, mut dropped) = (0, 0);
                for round in 0..each {
                    if round % 25 == 0 {
                        let key = key("absent");
                        let limit = Duration::from_micros(round as u64 % 300);
                        drop(tokio::time::timeout(limit, store.load(&key)).await);
                        dropped += 1;
                    }
                    if let Ok(found) = store.load(&key(&name)).await {
                        assert_eq!(found.expect("the session exists").bytes, name.as_bytes());
                        checked += 1;
                    }
                    progress.fetch_add(1, Relaxed);
                }
                (checked, dropped)
            })
        })
        .collect();
    let watch = async {
        let (mut checked, mut dropped) = (0, 0);
        for task in running {
            let (more_checked, more_dropped) = task.await.unwrap();
            checked += more_checked;
            dropped += more_dropped;
        }
        (checked, dropped)
    };
    let reset = async {
        let mut next = 500;
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if progress.load(Relaxed) >= next {
                proxy.reset_connections();
                next += 500;
            }
        }
    };
    let (checked, dropped) = tokio::select! {
        counts = watch => counts,
        () = reset => unreachable!(),
    };
    assert!(
        checked * 100 >= tasks * each * 99,
        "{checked} of {}",
        tasks * each
    );
    assert_eq!(dropped, tasks * each / 25);
}
