//! How many connections and look-ups a node gets that does not answer, and who waits for them.

use std::{env, fs, net::UdpSocket, process::Command};

use session_tests::{ChaosProxy, Disruption, assert_in_time, unshare};
use tokio::{runtime::Builder, task::JoinHandle, time::sleep};

use super::*;

/// How many connections one runtime may have to a node, as in the README.
const MAX_CONNECTIONS: u64 = 32;
/// How many calls are made to a silent node, in a second and a half.
const CALLS: usize = 600;

async fn proxied() -> (Memcached, ChaosProxy, MemcachedStore) {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open_with_the_default(&format!("127.0.0.1:{}", proxy.port()));
    (node, proxy, store)
}

fn delete(store: &MemcachedStore) -> JoinHandle<Result<()>> {
    let store = store.clone();
    tokio::spawn(async move { store.delete(&key()).await })
}

/// Makes the calls. Each fails within a second.
async fn many_calls_fail(store: &MemcachedStore) {
    let mut calls = Vec::new();
    for number in 1..=CALLS {
        let (store, since) = (store.clone(), Watch::start());
        calls.push(tokio::spawn(async move {
            fails_soon(&store.delete(&key()).await, since);
        }));
        if number % 40 == 0 {
            sleep(Duration::from_millis(100)).await;
        }
    }
    for call in calls {
        call.await.unwrap();
    }
}

/// As many calls at once succeed, as soon as one did.
async fn many_calls_succeed(store: &MemcachedStore) {
    recovered(store, &key()).await;
    let calls: Vec<_> = (0..CALLS).map(|_| delete(store)).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_node_that_never_answered_gets_one_connection_at_a_time() {
    let (_node, proxy, store) = proxied().await;
    proxy.set(Disruption::Blackhole);
    many_calls_fail(&store).await;
    // One in each half second.
    assert!(proxy.connections() <= 6, "{}", proxy.connections());
    proxy.set(Disruption::None);
    many_calls_succeed(&store).await;
}

#[tokio::test]
async fn a_node_that_freezes_gets_a_connection_for_each_call_under_way_then_one_at_a_time() {
    let node = Memcached::start(&[]).await;
    let store = open_with_the_default(&node.addr());
    recovered(&store, &key()).await;
    let before = stat(&node, "total_connections");
    for _ in 0..2 {
        node.freeze();
        many_calls_fail(&store).await;
        node.thaw();
        recovered(&store, &key()).await;
    }
    let opened = stat(&node, "total_connections") - before;
    // Each time those of the first half second, then one in each.
    assert!(opened <= 2 * (MAX_CONNECTIONS + 6), "{opened}");
    many_calls_succeed(&store).await;
}

#[tokio::test]
async fn a_late_answer_of_a_node_that_works_is_an_error_of_one_call() {
    let (_node, proxy, store) = proxied().await;
    many_calls_succeed(&store).await;
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let (since, mut errors) = (Instant::now(), 0);
                while since.elapsed() < Duration::from_millis(1500) {
                    errors += usize::from(store.delete(&key()).await.is_err());
                    sleep(Duration::from_millis(1)).await;
                }
                errors
            })
        })
        .collect();
    sleep(Duration::from_millis(100)).await;
    proxy.set(Disruption::HalfReply(3));
    let mut errors = 0;
    for caller in callers {
        errors += caller.await.unwrap();
    }
    assert!(errors > 0);
    assert_in_time!(errors == 1, "{errors}");
}

/// The caller that began to open the connection is dropped: the others still get it.
#[tokio::test]
async fn a_caller_that_is_dropped_leaves_the_connection_to_the_others() {
    let (_node, proxy, store) = proxied().await;
    let store = store.with_timeout(Duration::from_secs(10));
    proxy.set(Disruption::Blackhole);
    let first = delete(&store);
    sleep(Duration::from_millis(50)).await;
    let others: Vec<_> = (0..5).map(|_| delete(&store)).collect();
    sleep(Duration::from_millis(50)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(proxy.connections(), 1);
    proxy.set(Disruption::None);
    for call in others {
        call.await.unwrap().unwrap();
    }
}

/// Set in the process whose resolver gets no answer.
const SILENT_RESOLVER: &str = "SESSION_MEMCACHED_TEST_SILENT_RESOLVER";

/// Each look-up keeps a thread for the seconds that the system's resolver waits.
#[test]
fn a_name_is_resolved_once_at_a_time() {
    let setting = env::temp_dir().join(format!("resolv-{}.conf", std::process::id()));
    fs::write(&setting, "nameserver 127.0.0.1\n").unwrap();
    let unshare = unshare(&["-m", "-n"]);
    let output = Command::new(unshare[0])
        .args(&unshare[1..])
        .args(["sh", "-c"])
        .arg("mount --bind \"$1\" /etc/resolv.conf && ip link set lo up && shift && exec \"$@\"")
        .arg("sh")
        .arg(&setting)
        .arg(env::current_exe().unwrap())
        .args(["--exact", "connections::a_process_resolves_a_name"])
        .arg("--nocapture")
        .env(SILENT_RESOLVER, "1")
        .output()
        .unwrap();
    fs::remove_file(&setting).unwrap();
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let passed = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(output.status.success() && passed);
}

#[test]
fn a_process_resolves_a_name() {
    if env::var_os(SILENT_RESOLVER).is_none() {
        return;
    }
    let _silent = UdpSocket::bind("127.0.0.1:53").unwrap();
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    // The first one has a thread.
    let _ = Watch::start();
    let before = threads();
    let store = open_with_the_default("cache.internal.example");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(many_calls_fail(&store));
    assert_eq!(threads() - before, 1);
    // Does not wait for the look-up.
    runtime.shutdown_background();
}

/// The call that waits for the connection to be opened has little time left for its own answer.
#[tokio::test]
async fn a_node_that_takes_more_than_half_the_time_serves_calls_one_after_another() {
    let (_node, proxy, store) = proxied().await;
    proxy.set(Disruption::Latency(Duration::from_millis(160)));
    let mut succeeded = 0;
    for _ in 0..6 {
        succeeded += usize::from(store.delete(&key()).await.is_ok());
    }
    assert!(succeeded >= 4, "{succeeded} of 6");
}
