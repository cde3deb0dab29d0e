use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::{ErrorKind, RedisError, RedisResult};
use tokio::{sync::watch, time::sleep};

use crate::{
    connection::Connection,
    failure::told,
    server::{Address, Server},
};

// Between two attempts to connect: after a connection that did not last and a first failure, then doubling.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
// How often one caller sees a connection end before it could be used.
const ATTEMPTS: usize = 3;

/// The connection of one worker thread: opened at first use, opened again when it ends, by one attempt at a time.
pub(crate) struct Lane {
    pub(crate) server: Arc<Server>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    attempt: Option<Attempt>,
    failure: Option<Failure>,
}

/// An attempt to connect. Nothing is sent on it: it is over when its sender is gone, also with the task's runtime.
type Attempt = watch::Receiver<()>;

/// Why there is no connection: callers are told, and no attempt is made, until the pause is over.
struct Failure {
    error: RedisError,
    pause: Duration,
    until: Instant,
}

impl Lane {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            state: Mutex::default(),
        }
    }

    /// The connection, if it stands.
    pub(crate) fn standing(&self) -> Option<Arc<Connection>> {
        self.state().standing()
    }

    /// The connection, opened if need be; after a failure to open it that failure, while the pause lasts.
    pub(crate) async fn connection(self: &Arc<Self>) -> RedisResult<Arc<Connection>> {
        for _ in 0..ATTEMPTS {
            let mut attempt = {
                let mut state = self.state();
                if let Some(connection) = state.standing() {
                    return Ok(connection);
                }
                self.attempt(&mut state)?
            };
            let _ = attempt.changed().await;
        }
        self.standing().ok_or_else(|| {
            let ended = "the connection ended before it could be used";
            (ErrorKind::Io, ended).into()
        })
    }

    /// The attempt that is under way, or a new one: in a task of its own, so that a caller who gives up does not end what
    /// others wait for.
    fn attempt(self: &Arc<Self>, state: &mut State) -> RedisResult<Attempt> {
        if let Some(attempt) = &state.attempt
            && attempt.has_changed().is_ok()
        {
            return Ok(attempt.clone());
        }
        if let Some(failure) = &state.failure
            && Instant::now() < failure.until
        {
            return Err(failure.error.clone());
        }
        let ended = state.connection.take_if(|it| !it.is_alive());
        let pause = ended.map(|it| LEAST_PAUSE.saturating_sub(it.age()));
        let is_known_to_fail = state.failure.is_some();
        let (under_way, attempt) = watch::channel(());
        let (lane, server) = (Arc::downgrade(self), Arc::clone(&self.server));
        tokio::spawn(async move {
            sleep(pause.unwrap_or_default()).await;
            let mut opened = server.open().await;
            // It may have been a moment's trouble, which callers wait out; a time-out has cost them enough.
            if let Err(error) = &opened
                && !is_known_to_fail
                && !error.is_timeout()
            {
                sleep(LEAST_PAUSE).await;
                opened = server.open().await;
            }
            if let Some(lane) = lane.upgrade() {
                lane.state().end_attempt(opened, &server.address);
            }
            drop(under_way);
        });
        state.attempt = Some(attempt.clone());
        Ok(attempt)
    }

    /// The connection broke: the next caller gets another one.
    pub(crate) fn discard(&self, connection: &Arc<Connection>) {
        let mut state = self.state();
        state.connection.take_if(|it| Arc::ptr_eq(it, connection));
    }

    /// The connection may be of no use any more, without having broken: the server is silent, or became a replica.
    pub(crate) fn suspect(self: &Arc<Self>, connection: &Arc<Connection>) {
        if !self.server.is_cluster() {
            self.discard(connection);
        } else if !connection.is_new() {
            let mut state = self.state();
            let current = state.connection.as_ref();
            if current.is_some_and(|current| Arc::ptr_eq(current, connection)) {
                // The other nodes are still served by the old connections until the new ones stand.
                let _ = self.attempt(&mut state);
            }
        }
    }

    /// Whether there is anything to keep this lane for.
    pub(crate) fn is_in_use(self: &Arc<Self>) -> bool {
        self.standing().is_some() || Arc::strong_count(self) > 1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn standing(&self) -> Option<Arc<Connection>> {
        let connection = self.connection.as_ref();
        connection.filter(|it| it.is_alive()).cloned()
    }

    fn end_attempt(&mut self, opened: RedisResult<Connection>, address: &Address) {
        let before = self.failure.take();
        match opened {
            Ok(connection) => {
                if before.is_some() {
                    tracing::info!("{address:?}: redis answers again");
                }
                self.connection = Some(Arc::new(connection));
            }
            Err(error) => {
                if before.is_none() {
                    let error = told(address, &error);
                    tracing::warn!(%error, "redis cannot be reached");
                }
                let pause = before.map_or(FIRST_PAUSE, |before| before.pause * 2);
                let pause = pause.min(LONGEST_PAUSE);
                self.failure = Some(Failure {
                    error,
                    pause,
                    until: Instant::now() + pause,
                });
            }
        }
    }
}
