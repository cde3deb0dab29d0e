//! `Clients`, which holds the driver's client and makes another one when a call met silence.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mongodb::{Client, options::ClientOptions};
use tokio::runtime::Handle;

/// The driver's client.
///
/// The driver (3.9.1) has no limit on the log-in of a connection, and runs two log-ins at a time:
/// two that are silent keep it from ever opening another connection. Nor does it close the other
/// connections when one is silent. A client that this crate made is therefore replaced when a call
/// was not answered; its connections end with the calls that use them.
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
    met_silence: bool,
}

/// The client of one call. If it is dropped before [`answered`](Self::answered), the call met
/// silence.
pub(crate) struct CallClient {
    clients: Clients,
    pub(crate) client: Client,
    number: usize,
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
            current: Mutex::new(Current {
                client,
                number: 0,
                met_silence: false,
            }),
            origin,
        }))
    }

    /// The client for one call.
    pub(crate) fn for_call(&self) -> CallClient {
        let mut current = self.current();
        if current.met_silence
            && let Some((options, runtime)) = &self.0.origin
        {
            let _on_its_runtime = runtime.enter();
            // The options were accepted before.
            if let Ok(client) = Client::with_options(options.clone()) {
                *current = Current {
                    client,
                    number: current.number + 1,
                    met_silence: false,
                };
            }
        }
        CallClient {
            clients: self.clone(),
            client: current.client.clone(),
            number: current.number,
            is_answered: false,
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        let current = self.0.current.lock();
        current.unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallClient {
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for CallClient {
    fn drop(&mut self) {
        if !self.is_answered {
            let mut current = self.clients.current();
            current.met_silence |= current.number == self.number;
        }
    }
}
