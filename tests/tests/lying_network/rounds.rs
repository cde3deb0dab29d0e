//! The rounds: damages while visitors use their sessions, and what is checked after each.

use std::backtrace::Backtrace;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_tests::{ChaosProxy, Disruption, eventually, rounds};

use crate::backend::Backend;
use crate::dice;
use crate::memory::resident;
use crate::network::{Network, RECOVERY, WORKERS};

/// The most damages in a round. Soak's 10,000 then need 2,000 rounds or more.
const STRIKES: usize = 5;
const VISITORS: usize = 4;
/// How many stores, each behind a proxy of its own, are damaged beside each other.
const NETWORKS: usize = 4;
/// How much the resident memory may grow between the first tenth of the damages and the end.
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
    // A damaged reply can make a driver panic. The store makes an error of it, but to print where it
    // was costs some 30 MiB once, for the symbols.
    drop(Backtrace::force_capture().to_string());
    let (begin, sums, mut dice) = (Instant::now(), Arc::new(Sums::default()), dice());
    // CI has half as many for each round as a soak, to keep to its time.
    let damages = rounds() * STRIKES * if rounds() < 1000 { 1 } else { 2 };
    let playing: Vec<_> = (0..NETWORKS)
        .map(|_| {
            let (backend, sums, dice) = (Arc::clone(&backend), Arc::clone(&sums), dice.fork());
            tokio::spawn(async move {
                let budget = Some(backend.small_budget());
                let mut network = Network::new(&backend, VISITORS, budget, dice).await;
                play(&mut network, damages, Duration::from_millis(250), &sums).await;
                network
            })
        })
        .collect();
    let mut networks = Vec::new();
    for network in join_all(playing).await {
        networks.push(network.expect("no check fails"));
    }
    let (struck, played) = (sums.struck.load(Relaxed), sums.rounds.load(Relaxed));
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
        "{struck} damages in {played} rounds, {:.1?}: {answered} requests, {refused} refused, slowest {slowest:.1?}; \
         {opened} connections opened; memory grew by {} KiB",
        begin.elapsed(),
        grown >> 10,
    );
    assert!(grown < GROWTH, "memory grew by {grown} bytes");
    let most = backend.most_connections(WORKERS);
    // Each damage may cost all of them, not more.
    assert!(opened <= (struck + NETWORKS) * most, "{opened} connections");
    if backend.keeps_silent_log_ins() {
        let open = |network: &Network| network.proxy.open_connections();
        let held = || networks.iter().map(open).sum::<usize>();
        // Two for each client, of which a damage costs one.
        let few = async || held() <= NETWORKS * most + 2 * struck;
        eventually(RECOVERY, "connections are held", few).await;
        eprintln!("{} connections held before they heal", held());
        for network in &networks {
            network.proxy.heal();
        }
    }
    for network in &networks {
        held_connections_are_few(network, most).await;
        if let Some(places) = backend.places() {
            let mut free = network.places(places).await;
            for _ in 0..4 {
                // Places that are held for a while are not lost.
                if free < places {
                    free = network.places(places).await;
                }
            }
            assert!(free >= places, "places are lost: {free} of {places}");
        }
    }
    // Beside each there is one without a proxy.
    let few = async || backend.connections().await <= others + 2 * NETWORKS * most;
    eventually(RECOVERY, "connections stay at the server", few).await;
    drop(networks);
}

async fn held_connections_are_few(network: &Network, most: usize) {
    let held = || network.proxy.open_connections();
    eventually(RECOVERY, "connections are held", async || held() <= most).await;
}

/// Plays rounds, each with some damages while visitors use their sessions, until all networks
/// together had so many.
async fn play(network: &mut Network, damages: usize, longest: Duration, sums: &Sums) {
    network.recovers(false, "at the start").await;
    while sums.struck.load(Relaxed) < damages {
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
        network.use_sessions(over).await;
        let struck = STRIKES - network.proxy.strikes_left();
        network.proxy.plan_nothing();
        // What is silent answers late, ends, or stays silent.
        match network.dice.below(3) {
            0 => network.proxy.heal(),
            1 => network.proxy.reset_connections(),
            _ => {}
        }
        let round = sums.rounds.fetch_add(1, Relaxed);
        let alone = network.dice.below(4) == 0;
        network.recovers(alone, &format!("round {round}")).await;
        let before = sums.struck.fetch_add(struck, Relaxed);
        if before < damages / 10 {
            sums.resident.store(resident(), Relaxed);
        }
    }
}

pub(crate) async fn damages_with_the_default_limits_are_answered_in_time(backend: Backend) {
    let backend = Arc::new(backend);
    let sums = Sums::default();
    let mut network = Network::new(&backend, 2 * VISITORS, None, dice()).await;
    let damages = rounds() * STRIKES / 10;
    play(&mut network, damages, Duration::from_secs(1), &sums).await;
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
        Disruption::DripRequests(Duration::from_secs(1)),
    ] {
        for alone in [false, true] {
            network.proxy.set(disruption);
            let begin = Instant::now();
            let over = |_: &ChaosProxy| begin.elapsed() > Duration::from_secs(1);
            network.use_sessions(over).await;
            network.proxy.set(Disruption::None);
            let took = network.recovers(alone, &format!("{disruption:?}")).await;
            eprintln!("{disruption:?}: healthy after {took:.1?}");
        }
    }
}

pub(crate) async fn silent_connections_after_a_failover_are_given_up(backend: Backend) {
    let backend = Arc::new(backend);
    let mut network = Network::new(&backend, VISITORS, None, dice()).await;
    network.recovers(false, "at the start").await;
    for idle in [0, 1200] {
        for alone in [true, false] {
            // All connections that the store may have are open.
            network.places(backend.places().unwrap_or(VISITORS)).await;
            tokio::time::sleep(Duration::from_millis(idle)).await;
            network.proxy.fail_over(backend.port());
            let what = format!("{idle} ms idle, alone: {alone}");
            let took = network.recovers(alone, &what).await;
            eprintln!("{what}: healthy after {took:.1?}");
        }
    }
    held_connections_are_few(&network, backend.most_connections(WORKERS)).await;
}
