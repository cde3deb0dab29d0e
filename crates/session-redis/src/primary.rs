//! `Primary`, which server the Sentinels named, and when they must be asked again.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

// An answer of the Sentinels holds for `HOLDS`. In the `BESIDE` after that, calls go on while the
// Sentinels are asked. Later, as after a pause of the application, calls wait for their answer.
const HOLDS: Duration = Duration::from_secs(1);
const BESIDE: Duration = Duration::from_millis(250);
// They name none while they agree on a failover.
const RETRY: Duration = Duration::from_millis(250);

/// The server that the Sentinels named last, shared by all threads.
///
/// A primary that was frozen or cut off does not know that another one was promoted. It still
/// returns sessions that have ended, and accepts writes that will be lost.
#[derive(Debug)]
pub(crate) struct Primary(Mutex<State>);

#[derive(Debug)]
struct State {
    address: String,
    ask_at: Instant,
}

/// What is known about a server that was the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Confirmed,
    /// The caller must ask the Sentinels, and may use the server meanwhile.
    AskBeside,
    /// The caller must ask the Sentinels first.
    AskFirst,
}

impl Default for Primary {
    fn default() -> Self {
        Self(Mutex::new(State {
            address: String::new(),
            ask_at: Instant::now(),
        }))
    }
}

impl Primary {
    /// The standing of the server at `address`. Only one caller gets [`Standing::AskBeside`].
    pub(crate) fn standing(&self, address: &str) -> Standing {
        let (mut state, now) = (self.state(), Instant::now());
        if state.address != address || now >= state.ask_at + BESIDE {
            Standing::AskFirst
        } else if now < state.ask_at {
            Standing::Confirmed
        } else {
            state.ask_at = now + HOLDS;
            Standing::AskBeside
        }
    }

    /// The Sentinels named the server at `address`.
    pub(crate) fn named(&self, address: &str) {
        let mut state = self.state();
        state.address.clear();
        state.address.push_str(address);
        state.ask_at = Instant::now() + HOLDS;
    }

    /// No Sentinel named a server. Returns whether the one at `address` was named last, so that it
    /// can still be used.
    pub(crate) fn not_named(&self, address: &str) -> bool {
        let mut state = self.state();
        state.ask_at = Instant::now() + RETRY;
        state.address == address
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
