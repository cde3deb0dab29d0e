//! A TCP proxy that damages connections, for tests of outages.

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::watch;

/// What a [`ChaosProxy`] does to what passes through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disruption {
    /// Nothing.
    #[default]
    None,
    /// Each piece of a reply comes this much later.
    Latency(Duration),
    /// Connections are accepted and stay open, nothing passes; what was sent arrives when the
    /// damage ends.
    Blackhole,
    /// Of the next reply on any connection only so many bytes arrive, then that connection is
    /// closed. Happens once.
    CutReply(usize),
    /// The next piece of a reply that is so long, on any connection, lacks the byte at this place;
    /// all others arrive. Happens once.
    DropByte(usize),
    /// The next reply on any connection is swallowed and that connection closed: the server did the
    /// work, the client does not know. Happens once.
    DropReply,
    /// After so many pieces of replies, on any connection, the next piece never arrives, and its
    /// connection stays open. Happens once.
    LoseReply(usize),
}

/// A TCP proxy in front of a server on 127.0.0.1. It damages the connection as the test wants.
#[derive(Debug)]
pub struct ChaosProxy {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: AtomicU16,
    fault: watch::Sender<Disruption>,
    /// Counts up for "reset all connections"; `None` ends the proxy.
    resets: watch::Sender<Option<usize>>,
    connections: AtomicUsize,
    to_server: AtomicUsize,
    to_client: AtomicUsize,
}

impl ChaosProxy {
    /// Starts a proxy to `upstream_port`, on a thread of its own so that a busy test does not delay
    /// it.
    pub async fn start(upstream_port: u16) -> Self {
        let address = (Ipv4Addr::LOCALHOST, crate::free_port());
        let listener = TcpListener::bind(address)
            .await
            .and_then(TcpListener::into_std)
            .expect("the port is free");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(upstream_port),
            fault: watch::Sender::new(Disruption::None),
            resets: watch::Sender::new(Some(0)),
            connections: AtomicUsize::new(0),
            to_server: AtomicUsize::new(0),
            to_client: AtomicUsize::new(0),
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

    /// Does this from now on, instead of what was set before.
    pub fn set(&self, fault: Disruption) {
        self.shared.fault.send_replace(fault);
    }

    /// What is set; a damage that happens once becomes `None` when it has happened.
    pub fn disruption(&self) -> Disruption {
        *self.shared.fault.borrow()
    }

    /// Ends every open connection by a TCP reset; new ones are accepted.
    pub fn reset_connections(&self) {
        self.shared
            .resets
            .send_modify(|count| *count = count.map(|count| count + 1));
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Relaxed)
    }

    /// Bytes that reached the server so far.
    pub fn bytes_to_server(&self) -> usize {
        self.shared.to_server.load(Relaxed)
    }

    /// Bytes that reached clients so far.
    pub fn bytes_to_client(&self) -> usize {
        self.shared.to_client.load(Relaxed)
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.shared.resets.send_replace(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: StdListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a runtime is running");
    let mut resets = shared.resets.subscribe();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                shared.connections.fetch_add(1, Relaxed);
                tokio::spawn(serve(client, Arc::clone(&shared)));
            }
            _ = resets.wait_for(Option::is_none) => return,
        }
    }
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let mut resets = shared.resets.subscribe();
    let Ok(mut server) =
        TcpStream::connect((Ipv4Addr::LOCALHOST, shared.upstream.load(Relaxed))).await
    else {
        // The nearest thing to the refusal that the client would have met.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        _ = forward_requests(from_client, to_server, &shared) => {}
        _ = forward_replies(from_server, to_client, &shared) => {}
        _ = resets.changed() => {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
    }
}

async fn forward_requests(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
) -> io::Result<()> {
    let mut fault = shared.fault.subscribe();
    let mut buffer = vec![0; 65_536];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let _ = fault
            .wait_for(|fault| *fault != Disruption::Blackhole)
            .await;
        // Counted first: who sees the effect sees the count.
        shared.to_server.fetch_add(length, Relaxed);
        to.write_all(&buffer[..length]).await?;
    }
}

async fn forward_replies(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
) -> io::Result<()> {
    let mut fault = shared.fault.subscribe();
    let mut left = usize::MAX;
    let mut buffer = vec![0; 65_536];
    loop {
        let mut length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let _ = fault
            .wait_for(|fault| *fault != Disruption::Blackhole)
            .await;
        match shared.take_disruption(length) {
            Disruption::LoseReply(_) => continue,
            Disruption::Latency(latency) => tokio::time::sleep(latency).await,
            Disruption::CutReply(bytes) => left = bytes,
            Disruption::DropReply => left = 0,
            Disruption::DropByte(place) => {
                buffer.copy_within(place + 1..length, place);
                length -= 1;
            }
            Disruption::None | Disruption::Blackhole => {}
        }
        let passed = length.min(left);
        shared.to_client.fetch_add(passed, Relaxed);
        to.write_all(&buffer[..passed]).await?;
        if left <= length {
            return Ok(());
        }
        if left != usize::MAX {
            left -= passed;
        }
    }
}

impl Shared {
    /// What is to be done to so many bytes; a damage that happens once belongs to the caller from
    /// here on.
    fn take_disruption(&self, length: usize) -> Disruption {
        let mut taken = Disruption::None;
        self.fault.send_if_modified(|fault| {
            let once = match *fault {
                Disruption::DropByte(place) if place >= length => return false,
                Disruption::LoseReply(before @ 1..) => {
                    *fault = Disruption::LoseReply(before - 1);
                    return false;
                }
                Disruption::CutReply(_)
                | Disruption::DropByte(_)
                | Disruption::DropReply
                | Disruption::LoseReply(_) => true,
                Disruption::None | Disruption::Latency(_) | Disruption::Blackhole => false,
            };
            taken = *fault;
            if once {
                *fault = Disruption::None;
            }
            once
        });
        taken
    }
}
