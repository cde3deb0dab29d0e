//! The rounds: damages while visitors use their sessions, and what is checked after each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_tests::{ChaosProxy, Disruption, rounds};

use crate::backend::Backend;
use crate::dice;
use crate::memory::resident;
use crate::network::{Network, RECOVERY, WORKERS};

/// Damages in a round, so that soak's 2,000 rounds have 10,000.
const STRIKES: usize = 5;
/// The store time of a request where many damages are to be met.
const BUDGET: Duration = Duration::from_millis(100);
/// Stores with a proxy each, beside each other on one server.
const NETWORKS: usize = 1;
const VISITORS: usize = 8;
/// How much the resident memory may grow between the first tenth of the rounds and the end.
const GROWTH: usize = 24 << 20;

/// What all rounds together met.
#[derive(Default)]
struct Sums {
    struck: AtomicUsize,
    rounds: AtomicUsize,
    resident: AtomicUsize,
}

pub(crate) async fn many_damages_at_random_messages_lose_nothing(backend: Backend) {
    let backend = Arc::new(backend);
    let others = backend.connections().await;
    let (begin, sums, mut dice) = (Instant::now(), Arc::new(Sums::default()), dice());
    let rounds = rounds() * 2;
    let playing: Vec<_> = (0..NETWORKS)
        .map(|number| {
            let (backend, sums, dice) = (Arc::clone(&backend), Arc::clone(&sums), dice.fork());
            tokio::spawn(async move {
                let mut network = Network::new(&backend, VISITORS, Some(BUDGET), dice).await;
                let share = rounds / NETWORKS + usize::from(number < rounds % NETWORKS);
                play(
                    &mut network,
                    share,
                    Duration::from_millis(250),
                    &sums,
                    rounds / 10,
                )
                .await;
                network
            })
        })
        .collect();
    let mut networks = Vec::new();
    for network in join_all(playing).await {
        networks.push(network.expect("no check fails"));
    }
    let struck = sums.struck.load(Relaxed);
    let visitors = networks.iter().flat_map(|network| &network.visitors);
    let (mut answered, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    for visitor in visitors {
        answered += visitor.answered;
        refused += visitor.refused;
        slowest = slowest.max(visitor.slowest);
    }
    let opened: usize = networks.iter().map(|it| it.proxy.connections()).sum();
    let grown = resident().saturating_sub(sums.resident.load(Relaxed));
    eprintln!(
        "{struck} damages in {:.1?}: {answered} requests, {refused} refused, slowest {slowest:.1?}; \
         {opened} connections opened; memory grew by {} KiB",
        begin.elapsed(),
        grown >> 10,
    );
    assert!(struck >= rounds * STRIKES / 2, "{struck} damages happened");
    assert!(grown < GROWTH, "memory grew by {grown} bytes");
    let most = backend.most_connections(WORKERS);
    // Each damage may cost all of them, not more.
    assert!(opened <= (struck + NETWORKS) * most, "{opened} connections");
    for network in &networks {
        held_connections_are_few(network, most).await;
        if let Some(places) = backend.places() {
            let free = || async { network.places(places).await >= places };
            eventually("a place is lost", free).await;
        }
    }
    eventually("connections stay at the server", || async {
        backend.connections().await <= others + NETWORKS * most
    })
    .await;
    drop(networks);
}

async fn held_connections_are_few(network: &Network, most: usize) {
    let held = || network.proxy.open_connections();
    eventually("connections are held", || async { held() <= most }).await;
}

async fn eventually<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < RECOVERY, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Plays rounds, each with some damages while visitors use their sessions.
async fn play(network: &mut Network, rounds: usize, longest: Duration, sums: &Sums, warm: usize) {
    network.recovers(false, "at the start").await;
    for round in 0..rounds {
        for _ in 0..STRIKES {
            let strike = network.dice.strike();
            network.proxy.strike(strike);
        }
        if network.dice.below(4) == 0 {
            // So that new connections are opened, which have damages of their own.
            network.proxy.reset_connections();
        }
        let begin = Instant::now();
        let over = |proxy: &ChaosProxy| proxy.strikes_left() == 0 || begin.elapsed() > longest;
        network.visits(over).await;
        let left = network.proxy.strikes_left();
        sums.struck.fetch_add(STRIKES - left, Relaxed);
        network.proxy.plan_nothing();
        let healed = network.dice.below(2) == 0;
        if healed {
            network.proxy.heal();
        }
        let took = network
            .recovers(
                network.dice.clone().below(4) == 0,
                &format!("round {round}"),
            )
            .await;
        if took > Duration::from_millis(500) {
            eprintln!("    round {round}: healthy after {took:.1?}");
        }
        if sums.rounds.fetch_add(1, Relaxed) == warm {
            sums.resident.store(resident(), Relaxed);
        }
    }
}

pub(crate) async fn damages_with_the_default_limits_are_answered_in_time(backend: Backend) {
    let backend = Arc::new(backend);
    let sums = Sums::default();
    let mut network = Network::new(&backend, 2 * VISITORS, None, dice()).await;
    let rounds = rounds().div_ceil(10);
    play(
        &mut network,
        rounds,
        Duration::from_secs(1),
        &sums,
        rounds / 10,
    )
    .await;
    held_connections_are_few(&network, backend.most_connections(WORKERS)).await;
}

pub(crate) async fn a_silent_network_is_answered_in_time_and_recovers(backend: Backend) {
    let backend = Arc::new(backend);
    let mut network = Network::new(&backend, VISITORS, None, dice()).await;
    network.recovers(false, "at the start").await;
    for disruption in [
        Disruption::Blackhole,
        Disruption::SilentReplies,
        Disruption::SilentRequests,
        Disruption::Drip(Duration::from_secs(1)),
    ] {
        for alone in [false, true] {
            network.proxy.set(disruption);
            let begin = Instant::now();
            let over = |_: &ChaosProxy| begin.elapsed() > Duration::from_secs(1);
            network.visits(over).await;
            network.proxy.set(Disruption::None);
            let took = network.recovers(alone, &format!("{disruption:?}")).await;
            eprintln!("{disruption:?}: healthy after {took:.1?}");
        }
    }
}
