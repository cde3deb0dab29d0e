//! `Clients`, which holds the driver's client and makes another one when a call met silence.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mongodb::{Client, options::ClientOptions};
use tokio::runtime::Handle;

/// How long a client may take from its first call to its first answer, if the one before answered.
/// After each client in a row that did not answer, the next one has twice as long: its first answer
/// takes ten round trips and more, where a later one takes one.
const SHORTEST_GRACE: Duration = Duration::from_secs(1);
const LONGEST_GRACE: Duration = Duration::from_secs(8);

/// The driver's client.
///
/// The driver (3.9.1) has no limit on the log-in of a connection, and runs two log-ins at a time:
/// two that are silent keep it from ever opening another connection. Nor does it close the other
/// connections when one is silent. A client that this crate made is therefore replaced when a call
/// was not answered; its connections end with the calls that use them. Before its first answer a
/// client may still be connecting. Then it is replaced when its grace is over.
#[derive(Clone)]
pub(crate) struct Clients(Arc<Shared>);

struct Shared {
    current: Mutex<Current>,
    /// What another client is made of, and the runtime that it belongs to. `None` for a client of
    /// the application.
    origin: Option<(ClientOptions, Handle)>,
}

struct Current {
    client: Client,
    number: usize,
    first_call: Option<Instant>,
    grace: Duration,
    has_answered: bool,
    met_silence: bool,
}

/// The client of one call. If it is dropped before [`answered`](Self::answered), the call met
/// silence.
pub(crate) struct CallClient {
    clients: Clients,
    pub(crate) client: Client,
    number: usize,
    /// Whether the client had answered before this call began.
    had_answered: bool,
    is_answered: bool,
}

impl Clients {
    /// The application's client, which is never replaced.
    pub(crate) fn given(client: Client) -> Self {
        Self::new(client, None)
    }

    /// A client with these options, on the current runtime.
    pub(crate) fn made(options: ClientOptions) -> mongodb::error::Result<Self> {
        let client = Client::with_options(options.clone())?;
        Ok(Self::new(client, Some((options, Handle::current()))))
    }

    fn new(client: Client, origin: Option<(ClientOptions, Handle)>) -> Self {
        Self(Arc::new(Shared {
            current: Mutex::new(Current::new(client, 0, SHORTEST_GRACE)),
            origin,
        }))
    }

    /// The client for one call.
    pub(crate) fn for_call(&self) -> CallClient {
        let mut current = self.current();
        if current.is_silent()
            && let Some((options, runtime)) = &self.0.origin
        {
            let _on_its_runtime = runtime.enter();
            // The options were accepted before.
            if let Ok(client) = Client::with_options(options.clone()) {
                *current = Current::new(client, current.number + 1, current.next_grace());
            }
        }
        current.first_call.get_or_insert_with(Instant::now);
        CallClient {
            clients: self.clone(),
            client: current.client.clone(),
            number: current.number,
            had_answered: current.has_answered,
            is_answered: false,
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        let current = self.0.current.lock();
        current.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn new(client: Client, number: usize, grace: Duration) -> Self {
        Self {
            client,
            number,
            first_call: None,
            grace,
            has_answered: false,
            met_silence: false,
        }
    }

    fn is_silent(&self) -> bool {
        let grace_is_over = |first: Instant| first.elapsed() >= self.grace;
        self.met_silence || (!self.has_answered && self.first_call.is_some_and(grace_is_over))
    }

    fn next_grace(&self) -> Duration {
        if self.has_answered {
            SHORTEST_GRACE
        } else {
            LONGEST_GRACE.min(2 * self.grace)
        }
    }
}

impl CallClient {
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for CallClient {
    fn drop(&mut self) {
        let mut current = self.clients.current();
        if current.number == self.number {
            current.has_answered |= self.is_answered;
            current.met_silence |= !self.is_answered && self.had_answered;
        }
    }
}
