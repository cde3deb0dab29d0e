//! Failover on a Cluster: what a primary that is killed, frozen or cut off takes with it. The table
//! in the README has a line for each test.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use session_core::SessionStore;
use session_redis::RedisStore;
use session_tests::{RedisCluster, RedisServer, assert_in_time, unshare};

use crate::{
    common::{MAX_RECOVERY_TIME, bounded, insert, key, load, record, store_with_the_defaults},
    failover::{MOMENT, a_moment_before, fail_over, until},
};

/// Says what happens to the first node.
const IN_A_NETWORK: &str = "SESSION_REDIS_TEST_IN_A_NETWORK";
const CUT_OFF: &str = "it is cut off";
const KILLED: &str = "it is cut off and killed";
const GUARDED: &str = "it is cut off and needs a replica";

fn on(cluster: &RedisCluster) -> RedisStore {
    store_with_the_defaults(&cluster.urls().join(","))
}

/// Waits until another primary knows that the replica of the first node has taken over.
async fn promoted(cluster: &RedisCluster) {
    let replica = format!(":{}@", cluster.replicas()[0].port());
    until("promoted", || {
        let nodes = cluster.nodes()[1].command("CLUSTER NODES");
        let line = nodes.lines().find(|line| line.contains(&replica));
        line.is_some_and(|line| line.contains(" master "))
    })
    .await;
}

/// The name of a session that is on the first node.
fn on_the_first(cluster: &RedisCluster) -> String {
    let node = &cluster.nodes()[0];
    let is_first = |name: &usize| {
        let slot = node.command(&format!("CLUSTER KEYSLOT session:{name}"));
        slot.trim_start_matches(':').trim().parse::<u16>().unwrap() <= 5_460
    };
    (0..1_000).find(is_first).unwrap().to_string()
}

#[tokio::test]
async fn a_killed_node_takes_only_the_writes_of_its_last_moment() {
    let cluster = RedisCluster::start_with_replicas().await;
    let store = on(&cluster);
    let (mut begun, mut killed) = (None, None);
    let outage = async || {
        begun = Some(Instant::now());
        cluster.nodes()[0].kill();
        killed = Some(Instant::now());
    };
    let promoted = async || promoted(&cluster).await;
    let (_, lost) = fail_over(&store, outage, promoted, async || {}).await;
    lost.assert_within(a_moment_before(begun)..killed.unwrap() + MOMENT);
}

#[tokio::test]
async fn a_frozen_node_that_comes_back_takes_only_the_writes_of_its_last_moment() {
    let cluster = RedisCluster::start_with_replicas().await;
    let store = on(&cluster);
    let (mut begun, mut frozen) = (None, None);
    let outage = async || {
        begun = Some(Instant::now());
        cluster.nodes()[0].freeze();
        frozen = Some(Instant::now());
    };
    let after = async || {
        cluster.nodes()[0].thaw();
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    let promoted = async || promoted(&cluster).await;
    let (_, lost) = fail_over(&store, outage, promoted, after).await;
    lost.assert_within(a_moment_before(begun)..frozen.unwrap() + MOMENT);
}

/// A thread that has nothing to do during the failover keeps its connection to the old primary.
#[tokio::test]
async fn a_thread_that_was_idle_does_not_believe_a_node_that_was_frozen() {
    let cluster = RedisCluster::start_with_replicas().await;
    let (busy, idle) = (on(&cluster), on(&cluster));
    let name = on_the_first(&cluster);
    insert(&busy, &name, "one").await;
    let exists = format!("EXISTS session:{name}");
    let replica: &RedisServer = &cluster.replicas()[0];
    until("replicated", || {
        replica.command("READONLY");
        replica.command("DBSIZE") == ":1\r\n"
    })
    .await;
    load(&idle, &name).await.unwrap();
    cluster.nodes()[0].freeze();
    promoted(&cluster).await;
    let begin = Instant::now();
    while bounded(busy.delete(&key(&name))).await.1.is_err() {
        assert_in_time!(begin.elapsed() < MAX_RECOVERY_TIME, "it still fails");
    }
    assert_eq!(replica.command(&exists), ":0\r\n");
    cluster.nodes()[0].thaw();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let found = bounded(idle.load(&key(&name))).await.1;
        let at = begin.elapsed();
        // The node does not know yet that it was replaced.
        let is_soon = at < Duration::from_millis(500);
        assert!(
            is_soon || !matches!(found, Ok(Some(_))),
            "it came back after {at:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let other = record("x");
    let _ = bounded(idle.insert(&key(&name), &other)).await.1.unwrap();
    assert_eq!(replica.command(&exists), ":1\r\n");
}

/// The addresses of the nodes in a network of their own, the replicas last.
const ADDRESSES: [&str; 6] = [
    "10.9.0.10",
    "10.9.0.11",
    "10.9.0.12",
    "10.9.0.13",
    "10.9.0.14",
    "10.9.0.15",
];

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

/// Loses what the first node and the others send to each other. The application reaches them all.
fn cut_off() {
    // Nobody is at the other end.
    ip("link add cut type veth peer name end");
    ip("link set cut up");
    ip("link set end up");
    ip("route add 10.9.0.0/24 dev cut table 66");
    // The rule for addresses of this machine comes first, unless it is moved.
    ip("rule add pref 100 table local");
    ip("rule del pref 0");
    let [first, others @ ..] = ADDRESSES;
    for other in others {
        for (from, to) in [(first, other), (other, first)] {
            ip(&format!("rule add pref 10 from {from} to {to} lookup 66"));
        }
    }
}

/// Runs in a network of its own, in which a test below starts it.
#[tokio::test]
async fn a_process_cuts_a_node_off() {
    let Ok(event) = env::var(IN_A_NETWORK) else {
        return;
    };
    ip("link set lo up");
    for address in ADDRESSES {
        ip(&format!("addr add {address}/32 dev lo"));
    }
    let cluster = RedisCluster::start_at(ADDRESSES).await;
    let store = on(&cluster);
    let (is_killed, is_guarded) = (event == KILLED, event == GUARDED);
    if is_guarded {
        // So that the node is guarded before it notices that it is cut off.
        for node in cluster.nodes().iter().chain(cluster.replicas()) {
            node.command("CONFIG SET cluster-node-timeout 5000");
        }
        let node = &cluster.nodes()[0];
        node.command("CONFIG SET min-replicas-max-lag 1");
        node.command("CONFIG SET min-replicas-to-write 1");
    }
    let (mut cut, mut killed) = (None, None);
    let outage = async || {
        cut_off();
        cut = Some(Instant::now());
        if is_killed {
            tokio::time::sleep(Duration::from_millis(300)).await;
            cluster.nodes()[0].kill();
            killed = Some(Instant::now());
        }
    };
    let promoted = async || promoted(&cluster).await;
    let (promoted, lost) = fail_over(&store, outage, promoted, async || {}).await;
    let end = match killed {
        Some(killed) => killed,
        // The lag and two seconds more.
        None if is_guarded => cut.unwrap() + Duration::from_secs(3),
        None => promoted,
    };
    assert!(!is_guarded || end + MOMENT < promoted, "it noticed before");
    lost.assert_within(a_moment_before(cut)..end + MOMENT);
    assert!(!lost.log_ins.is_empty() && !lost.log_outs.is_empty());
}

/// Runs the test above in a network of its own.
fn in_a_network(event: &str) {
    let unshare = unshare(&["-n"]);
    let output = Command::new(unshare[0])
        .args(&unshare[1..])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "cluster_failover::a_process_cuts_a_node_off"])
        .arg("--nocapture")
        .env(IN_A_NETWORK, event)
        .output()
        .unwrap();
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let passed = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(output.status.success() && passed);
}

#[test]
fn a_node_that_is_cut_off_takes_writes_until_it_notices() {
    in_a_network(CUT_OFF);
}

#[test]
fn a_node_that_is_killed_takes_what_its_replica_had_not_received() {
    in_a_network(KILLED);
}

#[test]
fn a_node_that_is_cut_off_soon_refuses_writes_if_it_needs_a_replica() {
    in_a_network(GUARDED);
}
