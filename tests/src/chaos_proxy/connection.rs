//! One connection through the proxy, and what is done to it.

use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::disruption::{Direction, Disruption, Strike};
use super::{Shared, State};

/// When so many bytes of one direction are held back, no more are read.
const MAX_HELD: usize = 1 << 20;

/// One connection through the proxy.
pub(super) struct Connection {
    number: usize,
    shared: Arc<Shared>,
    own: Mutex<Own>,
}

/// What is done to this connection alone.
#[derive(Default)]
struct Own {
    strike: Option<Strike>,
    disruption: Disruption,
    /// It lasts until `State::heals` is another number.
    heals: usize,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    /// Not at all: it becomes silent.
    Silent,
}

/// How the next bytes pass.
enum Way {
    Open,
    Held,
    Drip(Duration),
}

/// Counts up for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl Connection {
    pub(super) fn accepted(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Relaxed);
        let connection = Self {
            number: shared.connections.fetch_add(1, Relaxed),
            shared: Arc::clone(shared),
            own: Mutex::default(),
        };
        let mut strikes = shared.strikes();
        let strike = strikes.iter().position(|strike| strike.new_connection);
        let strike = strike.and_then(|place| strikes.remove(place));
        drop(strikes);
        match strike {
            Some(strike) if strike.after == 0 && strike.disruption.lasts() => {
                connection.last(strike.disruption);
            }
            strike => connection.own().strike = strike,
        }
        connection
    }

    pub(super) async fn serve(self, mut client: TcpStream) {
        let mut state = self.shared.state.subscribe();
        let resets = state.borrow().resets;
        let upstream = (Ipv4Addr::LOCALHOST, self.shared.upstream.load(Relaxed));
        let Ok(mut server) = TcpStream::connect(upstream).await else {
            // The nearest thing to the refusal that the client would have met.
            let _ = client.set_zero_linger();
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let end = tokio::select! {
            end = self.forward(Direction::Request, from_client, to_server) => end,
            end = self.forward(Direction::Reply, from_server, to_client) => end,
            _ = state.wait_for(|state| state.resets != resets) => End::Reset,
        };
        if end == End::Reset {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
    }

    /// Passes on what is sent in one direction, until the connection ends.
    async fn forward(
        &self,
        direction: Direction,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
    ) -> End {
        let mut state = self.shared.state.subscribe();
        let mut held = Vec::with_capacity(65_536);
        // How many bytes still pass before what comes then.
        let mut end: Option<(usize, End)> = None;
        loop {
            if held.is_empty() {
                if from.read_buf(&mut held).await.unwrap_or(0) == 0 {
                    return self.closed(direction, &mut state).await;
                }
                let taken = self.take(direction, held.len());
                end = end_of(taken, held.len()).or(end);
                match taken {
                    Disruption::LoseReply(_) => held.clear(),
                    Disruption::DropByte(place) => drop(held.remove(place)),
                    _ => {}
                }
                let latency = self.latency(direction, &state.borrow());
                if !latency.is_zero() {
                    sleep(latency).await;
                }
            }
            let way = self.way(direction, &state.borrow_and_update());
            let most = match way {
                Way::Open => held.len(),
                Way::Held => 0,
                Way::Drip(_) => 1,
            };
            let passed = most
                .min(held.len())
                .min(end.map_or(usize::MAX, |end| end.0));
            // Counted first: who sees the effect sees the count.
            self.count(direction, &held[..passed]);
            if to.write_all(&held[..passed]).await.is_err() {
                return End::Closed;
            }
            held.drain(..passed);
            if let Some((left, how)) = &mut end {
                *left -= passed;
                match (*left, *how) {
                    (0, End::Silent) => {
                        end = None;
                        self.last(Disruption::Blackhole);
                    }
                    (0, how) => return how,
                    _ => {}
                }
            }
            if held.is_empty() || matches!(way, Way::Open) {
                continue;
            }
            let pause = async {
                match way {
                    Way::Drip(pause) => sleep(pause).await,
                    _ => pending().await,
                }
            };
            let replies = &self.shared.held_replies;
            let _counted = (direction == Direction::Reply).then(|| Counted::up(replies));
            tokio::select! {
                () = pause => {}
                _ = state.changed() => {}
                read = from.read_buf(&mut held), if held.len() < MAX_HELD => {
                    if read.unwrap_or(0) == 0 {
                        return self.closed(direction, &mut state).await;
                    }
                }
            }
        }
    }

    /// One side has closed. If it is the server, the client learns it when the silence ends.
    async fn closed(&self, direction: Direction, state: &mut watch::Receiver<State>) -> End {
        if direction == Direction::Reply {
            let held = |state: &State| matches!(self.way(direction, state), Way::Held);
            let _ = state.wait_for(|state| !held(state)).await;
        }
        End::Closed
    }

    /// What is to be done to so many bytes. A damage that happens once belongs to the caller from
    /// here on.
    fn take(&self, direction: Direction, length: usize) -> Disruption {
        let struck = self.take_strike(direction, length);
        if struck != Disruption::None {
            if struck.lasts() {
                self.last(struck);
            }
            return struck;
        }
        let mut taken = Disruption::None;
        self.shared.state.send_if_modified(|state| {
            let set = &mut state.disruption;
            if set.lasts() || !set.fits(direction, length) {
                return false;
            }
            if let Disruption::LoseReply(before @ 1..) = set {
                *before -= 1;
                return false;
            }
            taken = std::mem::take(set);
            true
        });
        taken
    }

    fn take_strike(&self, direction: Direction, length: usize) -> Disruption {
        let hits = |strike: &mut Strike| {
            let counted = strike.after > 0;
            strike.after = strike.after.saturating_sub(1);
            !counted && strike.disruption.fits(direction, length)
        };
        let mut own = self.own();
        if let Some(strike) = own.strike.take_if(hits) {
            return strike.disruption;
        }
        drop(own);
        let mut taken = Disruption::None;
        self.shared.strikes().retain_mut(|strike| {
            if strike.new_connection || !hits(strike) || taken != Disruption::None {
                return true;
            }
            taken = strike.disruption;
            false
        });
        taken
    }

    /// What lasts, on all connections and on this one.
    fn lasting(&self, state: &State) -> [Disruption; 2] {
        let own = self.own();
        let healed = own.heals != state.heals;
        let own = if healed {
            Disruption::None
        } else {
            own.disruption
        };
        [state.disruption, own]
    }

    fn latency(&self, direction: Direction, state: &State) -> Duration {
        let latencies = self.lasting(state).map(|it| match it {
            Disruption::Latency(latency) if direction == Direction::Reply => latency,
            _ => Duration::ZERO,
        });
        latencies.iter().sum()
    }

    fn way(&self, direction: Direction, state: &State) -> Way {
        let lasting = self.lasting(state);
        let held = lasting.iter().any(|it| it.holds(direction));
        if held || self.number < state.first_in_use {
            return Way::Held;
        }
        let pause = lasting.iter().find_map(|it| it.pause(direction));
        pause.map_or(Way::Open, Way::Drip)
    }

    /// Does this to the connection until it is healed.
    fn last(&self, disruption: Disruption) {
        let heals = self.shared.state.borrow().heals;
        let mut own = self.own();
        (own.disruption, own.heals) = (disruption, heals);
    }

    fn count(&self, direction: Direction, passed: &[u8]) {
        let counter = match direction {
            Direction::Request => &self.shared.to_server,
            Direction::Reply => &self.shared.to_client,
        };
        counter.fetch_add(passed.len(), Relaxed);
        if direction == Direction::Request
            && let Some(recorded) = self.shared.recorded().as_mut()
        {
            recorded
                .entry(self.number)
                .or_default()
                .extend_from_slice(passed);
        }
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Relaxed);
    }
}

impl<'a> Counted<'a> {
    fn up(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// How many of so many bytes and of those that follow pass before the connection ends, and how.
fn end_of(disruption: Disruption, length: usize) -> Option<(usize, End)> {
    match disruption {
        Disruption::CutReply(bytes) => Some((bytes, End::Closed)),
        Disruption::DropReply => Some((0, End::Closed)),
        Disruption::ResetReply(bytes) | Disruption::ResetRequest(bytes) => {
            Some((bytes, End::Reset))
        }
        Disruption::HalfReply(bytes) | Disruption::HalfRequest(bytes) => Some((bytes, End::Silent)),
        Disruption::SilenceAfterRequest => Some((length, End::Silent)),
        _ => None,
    }
}
