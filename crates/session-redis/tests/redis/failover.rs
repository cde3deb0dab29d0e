//! Failover with Sentinels: what a primary that is killed, frozen or cut off takes with it. The
//! table in the README has a line for each test.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    ops::Range,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use session_core::{SessionStore, Write};
use session_redis::{
    RedisStore,
    redis::{self, Client},
};
use session_tests::{ChaosProxy, Disruption, RedisSentinel, RedisServer, Server, assert_in_time};

use crate::common::{
    MAX_RECOVERY_TIME, bounded, insert, key, load, record, recovery, store,
    store_with_the_defaults, stored,
};

/// How long visitors stay.
pub(crate) const STAY: Duration = Duration::from_millis(500);
/// How much later than a write its replication may be, on this machine under load.
pub(crate) const MOMENT: Duration = Duration::from_millis(200);
/// How long the servers may take to notice an outage and to promote a replica. A Sentinel that was held up for
/// two seconds watches nothing for the next thirty.
pub(crate) const MAX_PROMOTION_TIME: Duration = Duration::from_secs(120);

pub(crate) fn a_moment_before(event: Option<Instant>) -> Instant {
    event.unwrap().checked_sub(MOMENT).unwrap()
}

/// Waits until `done`, and says how long that took.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !done() {
        assert_in_time!(begin.elapsed() < MAX_PROMOTION_TIME, "never {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begin.elapsed()
}

async fn replicated(replica: &RedisServer, name: &str) {
    let exists = format!("EXISTS session:{name}");
    until("replicated", || replica.command(&exists) == ":1\r\n").await;
}

/// Waits until the Sentinel tells everybody that the replica is the primary.
async fn promoted(servers: &RedisSentinel) {
    let switched = || servers.sentinel().output().contains("+switch-master");
    until("promoted", switched).await;
}

/// Log-ins and log-outs of many visitors, and when the store acknowledged each.
#[derive(Default)]
pub(crate) struct Visits {
    stop: Cell<bool>,
    log_ins: RefCell<Vec<(String, Instant)>>,
    log_outs: RefCell<Vec<(String, Instant)>>,
    failures: RefCell<Vec<Instant>>,
}

/// Acknowledged writes that are missing, each by the time of its acknowledgement.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) log_ins: Vec<Instant>,
    pub(crate) log_outs: Vec<Instant>,
    pub(crate) acknowledged: usize,
}

impl Lost {
    pub(crate) fn times(&self) -> impl Iterator<Item = Instant> {
        self.log_ins.iter().chain(&self.log_outs).copied()
    }

    /// All of them were acknowledged in this time.
    pub(crate) fn assert_within(&self, time: Range<Instant>) {
        let others = self.times().filter(|at| !time.contains(at));
        let late = |at: Instant| at.saturating_duration_since(time.start);
        let early = |at| time.start.saturating_duration_since(at);
        let others: Vec<_> = others.map(|at| (early(at), late(at))).collect();
        assert!(
            others.is_empty(),
            "{} lost outside the outage, before or after: {:?}",
            others.len(),
            others.first()
        );
    }
}

impl Visits {
    /// Visitors log in, and log out half a second later, until [`stop`](Self::stop). Each call must
    /// be answered in time.
    pub(crate) async fn run(&self, store: &RedisStore) {
        let visitors = (0..8).map(async |visitor| {
            let mut present = VecDeque::new();
            for visit in 0.. {
                if self.stop.get() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                let name = format!("{visitor}-{visit}");
                let (new, live) = (key(&name), record("live"));
                match bounded(store.insert(&new, &live)).await.1 {
                    Ok(write) => {
                        let now = Instant::now();
                        self.log_ins.borrow_mut().push((name.clone(), now));
                        present.push_back((name, stored(write), now));
                    }
                    Err(_) => self.failures.borrow_mut().push(Instant::now()),
                }
                let stays = |(_, _, since): &mut (_, _, Instant)| since.elapsed() < STAY;
                if present.front_mut().is_none_or(stays) {
                    continue;
                }
                let Some((name, revision, _)) = present.pop_front() else {
                    continue;
                };
                let (old, ended) = (key(&name), record("ended"));
                match bounded(store.update(&old, &ended, &revision)).await.1 {
                    Ok(Write::Stored(_)) => {
                        self.log_outs.borrow_mut().push((name, Instant::now()));
                    }
                    // Its log-in was lost.
                    Ok(Write::Refused) => {}
                    Err(_) => self.failures.borrow_mut().push(Instant::now()),
                }
            }
        });
        join_all(visitors).await;
    }

    pub(crate) fn stop(&self) {
        self.stop.set(true);
    }

    /// Compares what was acknowledged with what the store has.
    pub(crate) async fn lost(&self, store: &RedisStore) -> Lost {
        let (log_ins, log_outs) = (self.log_ins.take(), self.log_outs.take());
        let acknowledged = log_ins.len() + log_outs.len();
        let mut lost = Lost {
            log_ins: Vec::new(),
            log_outs: Vec::new(),
            acknowledged,
        };
        for (name, at) in &log_ins {
            if load(store, name).await.is_none() {
                lost.log_ins.push(*at);
            }
        }
        for (name, at) in &log_outs {
            if load(store, name).await.is_some_and(|it| it.bytes == "live") {
                lost.log_outs.push(*at);
            }
        }
        lost
    }
}

/// Runs visits during `outage` and until `promoted`, then `after` it. Returns when the promotion
/// was visible, and what was lost. A failed test shows the figures.
pub(crate) async fn fail_over(
    store: &RedisStore,
    outage: impl AsyncFnOnce(),
    promoted: impl AsyncFnOnce(),
    after: impl AsyncFnOnce(),
) -> (Instant, Lost) {
    let visits = Visits::default();
    let steps = async {
        tokio::time::sleep(STAY * 2).await;
        outage().await;
        promoted().await;
        let promoted = Instant::now();
        let took = recovery(store).await;
        assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?}");
        tokio::time::sleep(Duration::from_secs(3)).await;
        after().await;
        visits.stop();
        promoted
    };
    let (promoted, ()) = tokio::join!(steps, visits.run(store));
    let lost = visits.lost(store).await;
    assert!(lost.acknowledged > 500, "{}", lost.acknowledged);
    let failures = visits.failures.take();
    let after = |at: Option<&Instant>| at.map(|at| at.saturating_duration_since(promoted));
    let healthy = after(failures.iter().max()).unwrap_or_default();
    eprintln!(
        "{} writes; {} log-ins and {} log-outs lost, until {:?} after the promotion; {} calls \
         failed, until {healthy:?}",
        lost.acknowledged,
        lost.log_ins.len(),
        lost.log_outs.len(),
        after(lost.times().max().as_ref()),
        failures.len(),
    );
    assert_in_time!(healthy < MAX_RECOVERY_TIME, "calls fail until {healthy:?}");
    (promoted, lost)
}

/// The replica gets what the primary acknowledged before, because the primary sends it at once.
#[tokio::test]
async fn a_killed_primary_takes_only_the_writes_of_its_last_moment() {
    let servers = RedisSentinel::start().await;
    let store = store_with_the_defaults(&servers.url());
    let mut killed = None;
    let outage = async || {
        servers.primary().kill();
        killed = Some(Instant::now());
    };
    let (_, lost) = fail_over(
        &store,
        outage,
        async || promoted(&servers).await,
        async || {},
    )
    .await;
    lost.assert_within(a_moment_before(killed)..killed.unwrap() + MOMENT);
}

#[tokio::test]
async fn a_killed_primary_takes_what_its_replica_had_not_received() {
    let servers = RedisSentinel::start().await;
    let store = app_store(&servers);
    let (mut cut, mut killed) = (None, None);
    let outage = async || {
        cut_off(servers.primary());
        cut = Some(Instant::now());
        tokio::time::sleep(Duration::from_millis(300)).await;
        servers.primary().kill();
        killed = Some(Instant::now());
    };
    let (_, lost) = fail_over(
        &store,
        outage,
        async || promoted(&servers).await,
        async || {},
    )
    .await;
    assert!(!lost.log_ins.is_empty() && !lost.log_outs.is_empty());
    lost.assert_within(a_moment_before(cut)..killed.unwrap() + MOMENT);
}

#[tokio::test]
async fn a_frozen_primary_that_comes_back_takes_only_the_writes_of_its_last_moment() {
    let servers = RedisSentinel::start().await;
    let store = store_with_the_defaults(&servers.url());
    let mut frozen = None;
    let outage = async || {
        servers.primary().freeze();
        frozen = Some(Instant::now());
    };
    let after = async || {
        servers.primary().thaw();
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    let (_, lost) = fail_over(&store, outage, async || promoted(&servers).await, after).await;
    lost.assert_within(a_moment_before(frozen)..frozen.unwrap() + MOMENT);
}

/// Replica and Sentinels lose the primary, and the application still reaches it.
#[tokio::test]
async fn a_primary_that_is_cut_off_takes_writes_until_the_store_asks_the_sentinels_again() {
    let servers = RedisSentinel::start().await;
    let store = app_store(&servers);
    let mut cut = None;
    let outage = async || {
        cut_off(servers.primary());
        cut = Some(Instant::now());
    };
    let (promoted, lost) = fail_over(
        &store,
        outage,
        async || promoted(&servers).await,
        async || {},
    )
    .await;
    assert!(!lost.log_ins.is_empty() && !lost.log_outs.is_empty());
    lost.assert_within(a_moment_before(cut)..promoted + MAX_RECOVERY_TIME);
}

/// Three Sentinels, of which the first in the store's address is silent, such as its machine.
async fn with_a_silent_sentinel() -> (RedisSentinel, [Server; 2], RedisStore) {
    let servers = RedisSentinel::start().await;
    let silent = servers.another_sentinel(1).await;
    let other = servers.another_sentinel(2).await;
    let ports = [silent.port(), other.port(), servers.sentinel().port()];
    let hosts = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    allow_app(&servers);
    let address = format!(
        "redis+sentinel://app:secret@{hosts}/{}/0",
        servers.service()
    );
    let store = store_with_the_defaults(&address);
    silent.freeze();
    (servers, [silent, other], store)
}

#[tokio::test]
async fn a_silent_sentinel_hides_no_promotion_that_the_others_name() {
    let (servers, _sentinels, store) = with_a_silent_sentinel().await;
    let mut cut = None;
    let outage = async || {
        cut_off(servers.primary());
        cut = Some(Instant::now());
    };
    let promoted = async || promoted(&servers).await;
    let (promoted, lost) = fail_over(&store, outage, promoted, async || {}).await;
    lost.assert_within(a_moment_before(cut)..promoted + MAX_RECOVERY_TIME);
}

#[tokio::test]
async fn a_silent_sentinel_costs_no_call() {
    let (_servers, _sentinels, store) = with_a_silent_sentinel().await;
    let mut times = vec![];
    for name in ["first", "a", "b", "c"] {
        // Also the first call of a thread, and those after a pause, wait for the Sentinels.
        let (took, written) = bounded(store.insert(&key(name), &record("x"))).await;
        assert!(written.unwrap().is_stored());
        times.push(took);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    let fastest = times[1..].iter().min().unwrap();
    assert_in_time!(*fastest < Duration::from_millis(150), "{times:?}");
}

/// A Sentinel that is cut off together with the old primary is near, and answers before the others.
#[tokio::test]
async fn a_near_sentinel_does_not_outrun_the_others() {
    let (old, new) = (RedisSentinel::start().await, RedisSentinel::start().await);
    let other = new.another_sentinel(1).await;
    let mut sentinels = vec![format!("127.0.0.1:{}", old.sentinel().port())];
    let mut far = vec![];
    for sentinel in [new.sentinel(), &other] {
        let proxy = ChaosProxy::start(sentinel.port()).await;
        proxy.set(Disruption::Latency(Duration::from_millis(40)));
        sentinels.push(format!("127.0.0.1:{}", proxy.port()));
        far.push(proxy);
    }
    let address = format!("redis+sentinel://{}/mymaster/0", sentinels.join(","));
    let store = store(&address);
    insert(&store, "a", "one").await;
    assert_eq!(new.primary().command("EXISTS session:a"), ":1\r\n");
    assert_eq!(old.primary().command("EXISTS session:a"), ":0\r\n");
}

/// With `min-replicas-max-lag 1` the primary refuses writes once it has had no replica for a while.
#[tokio::test]
async fn a_primary_that_is_cut_off_soon_refuses_writes_if_it_needs_a_replica() {
    let servers = RedisSentinel::start().await;
    for server in [servers.primary(), servers.replica()] {
        server.command("CONFIG SET min-replicas-max-lag 1");
    }
    // The promoted replica has no replica of its own in this test.
    servers
        .primary()
        .command("CONFIG SET min-replicas-to-write 1");
    let store = app_store(&servers);
    let mut cut = None;
    let outage = async || {
        cut_off(servers.primary());
        cut = Some(Instant::now());
    };
    let (_, lost) = fail_over(
        &store,
        outage,
        async || promoted(&servers).await,
        async || {},
    )
    .await;
    lost.assert_within(a_moment_before(cut)..cut.unwrap() + MOMENT);
}

/// A thread that has nothing to do during the failover keeps its connection to the old primary.
#[tokio::test]
async fn a_thread_that_was_idle_does_not_believe_a_primary_that_was_frozen() {
    let servers = RedisSentinel::start().await;
    let (busy, idle) = (
        store_with_the_defaults(&servers.url()),
        store_with_the_defaults(&servers.url()),
    );
    insert(&busy, "a", "one").await;
    replicated(servers.replica(), "a").await;
    load(&idle, "a").await.unwrap();
    servers.primary().freeze();
    let frozen = Instant::now();
    promoted(&servers).await;
    let took = recovery(&busy).await;
    assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?}");
    busy.delete(&key("a")).await.unwrap();
    let pause = Duration::from_millis(1_500);
    tokio::time::sleep(pause.saturating_sub(frozen.elapsed())).await;
    servers.primary().thaw();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let found = bounded(idle.load(&key("a"))).await.1;
        let at = begin.elapsed();
        assert!(!matches!(found, Ok(Some(_))), "it came back after {at:?}");
        let name = format!("after-{}", at.as_micros());
        if bounded(idle.insert(&key(&name), &record("x")))
            .await
            .1
            .is_ok()
        {
            let exists = servers.replica().command(&format!("EXISTS session:{name}"));
            assert_eq!(exists, ":1\r\n", "lost after {at:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A store of a user whom [`cut_off`] leaves in.
fn app_store(servers: &RedisSentinel) -> RedisStore {
    allow_app(servers);
    store_with_the_defaults(&servers.url().replace("//", "//app:secret@"))
}

fn allow_app(servers: &RedisSentinel) {
    for server in [servers.primary(), servers.replica()] {
        server.command("ACL SETUSER app on >secret ~* +@all");
    }
}

/// Refuses Sentinel and replica, which log in as the default user, and nobody else. To them, the
/// primary is gone.
fn cut_off(primary: &RedisServer) {
    let address = format!("redis://app:secret@127.0.0.1:{}/", primary.port());
    let mut app = Client::open(address).unwrap().get_connection().unwrap();
    let off = redis::cmd("ACL")
        .arg(&["SETUSER", "default", "off"])
        .to_owned();
    off.exec(&mut app).unwrap();
    let kill = redis::cmd("CLIENT")
        .arg(&["KILL", "USER", "default"])
        .to_owned();
    kill.exec(&mut app).unwrap();
}
