//! A TCP proxy that damages connections, for tests of outages.

mod connection;
mod disruption;

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::watch;

use connection::Connection;
pub use disruption::{Disruption, Strike};

/// A TCP proxy in front of a server on 127.0.0.1. It damages the connection as the test wants.
///
/// A piece is what one read of a socket returns: usually a request or a reply, of a large one a
/// part. Whatever is held back, a client that closes its connection also ends that to the server.
#[derive(Debug)]
pub struct ChaosProxy {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: AtomicU16,
    state: watch::Sender<State>,
    strikes: Mutex<VecDeque<Strike>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    held_replies: AtomicUsize,
    to_server: AtomicUsize,
    to_client: AtomicUsize,
    /// What each connection has sent to the server, by the connection's number.
    recorded: Mutex<Option<BTreeMap<usize, Vec<u8>>>>,
}

/// What holds for all connections. A change wakes those that hold something back.
#[derive(Debug, Default)]
struct State {
    disruption: Disruption,
    /// Counts the ends of what [`ChaosProxy::strike`] did to single connections.
    heals: usize,
    /// The connections with smaller numbers are silent for good.
    first_in_use: usize,
    resets: usize,
    ended: bool,
}

impl ChaosProxy {
    /// Starts a proxy to `upstream_port`, on a thread of its own so that a busy test does not delay
    /// it.
    pub async fn start(upstream_port: u16) -> Self {
        let listener = loop {
            let address = (Ipv4Addr::LOCALHOST, crate::free_port());
            match TcpListener::bind(address).await {
                // Another process was quicker.
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                bound => break bound.and_then(TcpListener::into_std),
            }
        };
        let listener = listener.expect("the port is free");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(upstream_port),
            state: watch::Sender::default(),
            strikes: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            held_replies: AtomicUsize::new(0),
            to_server: AtomicUsize::new(0),
            to_client: AtomicUsize::new(0),
            recorded: Mutex::default(),
        });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build();
                runtime
                    .expect("a runtime can be built")
                    .block_on(accept(listener, shared));
            }
        });
        Self {
            port,
            shared,
            thread: Some(thread),
        }
    }

    /// The port that stands for the server's.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connects new clients to another server, as a name does after a failover. Open connections
    /// stay.
    pub fn lead_to(&self, upstream_port: u16) {
        self.shared.upstream.store(upstream_port, Relaxed);
    }

    /// Connects new clients to another server. Open connections stay open and are silent for good,
    /// as after the failover of a machine that is gone.
    pub fn fail_over(&self, upstream_port: u16) {
        self.lead_to(upstream_port);
        let first = self.shared.connections.load(Relaxed);
        self.shared
            .state
            .send_modify(|state| state.first_in_use = first);
    }

    /// Does this from now on, instead of what was set before.
    pub fn set(&self, disruption: Disruption) {
        self.shared
            .state
            .send_modify(|state| state.disruption = disruption);
    }

    /// What is set; a damage that happens once becomes `None` when it has happened.
    pub fn disruption(&self) -> Disruption {
        self.shared.state.borrow().disruption
    }

    /// Plans a damage to a single connection, beside those that are planned already.
    pub fn strike(&self, strike: Strike) {
        self.shared.strikes().push_back(strike);
    }

    /// How many of the planned damages have not begun.
    pub fn strikes_left(&self) -> usize {
        self.shared.strikes().len()
    }

    /// Forgets the damages that have not begun. Those that have, stay.
    pub fn plan_nothing(&self) {
        self.shared.strikes().clear();
    }

    /// Ends what [`strike`](Self::strike) did to connections that are open: what was held back
    /// arrives, late.
    pub fn heal(&self) {
        self.shared.state.send_modify(|state| state.heals += 1);
    }

    /// Ends every open connection by a TCP reset; new ones are accepted.
    pub fn reset_connections(&self) {
        self.shared.state.send_modify(|state| state.resets += 1);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Relaxed)
    }

    /// Connections that are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Relaxed)
    }

    /// Connections on which a reply is held back.
    pub fn held_replies(&self) -> usize {
        self.shared.held_replies.load(Relaxed)
    }

    /// Bytes that reached the server so far.
    pub fn bytes_to_server(&self) -> usize {
        self.shared.to_server.load(Relaxed)
    }

    /// Bytes that reached clients so far.
    pub fn bytes_to_client(&self) -> usize {
        self.shared.to_client.load(Relaxed)
    }

    /// Keeps what clients send from now on, and forgets what it kept before.
    pub fn record(&self) {
        *self.shared.recorded() = Some(BTreeMap::new());
    }

    /// What reached the server since [`record`](Self::record), of each connection that sent
    /// anything. The oldest connection is the first.
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        let recorded = self.shared.recorded();
        let sent = recorded.iter().flat_map(BTreeMap::values);
        sent.cloned().collect()
    }
}

impl Shared {
    fn strikes(&self) -> MutexGuard<'_, VecDeque<Strike>> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recorded(&self) -> MutexGuard<'_, Option<BTreeMap<usize, Vec<u8>>>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.shared.state.send_modify(|state| state.ended = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: StdListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a runtime is running");
    let mut state = shared.state.subscribe();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                tokio::spawn(Connection::accepted(&shared).serve(client));
            }
            _ = state.wait_for(|state| state.ended) => return,
        }
    }
}
