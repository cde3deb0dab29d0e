//! The connection of one worker thread: opened at first use, and again when it ended.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use redis::{ErrorKind, RedisError, RedisResult};
use tokio::{sync::watch, time::sleep};

#[cfg(feature = "sentinel")]
use crate::primary::Standing;
use crate::{connection::Connection, error::message, server::Server};

// A connection is opened no sooner than `MIN_DELAY` after the previous one, and tried again after
// `MIN_DELAY` if that fails. Then follows a backoff from `INITIAL_BACKOFF`, doubling, to
// `MAX_BACKOFF`.
const MIN_DELAY: Duration = Duration::from_millis(20);
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_millis(500);
// How many connections one call waits for if each ends before the call can use it.
const MAX_ATTEMPTS: usize = 3;

/// The connection of one worker thread. One attempt to connect runs at a time.
pub(crate) struct WorkerConnection {
    pub(crate) server: Arc<Server>,
    /// Whether the server may know `SET … IFEQ`: Valkey does since 8.1, Redis since 8.4. Each new
    /// connection tries it again, because the address may lead to another server by then.
    pub(crate) compares: AtomicBool,
    /// The same for `SET … IFDEQ`, which Redis knows since 8.4, and Valkey does not.
    pub(crate) digests: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    attempt: Option<Attempt>,
    backoff: Option<Backoff>,
}

/// An attempt to connect. Nothing is sent on the channel. The attempt has ended when the sender was
/// dropped, which also happens if the runtime of its task is shut down.
type Attempt = watch::Receiver<()>;

/// The error of the last attempt to connect. Until the delay is over, calls fail with this error
/// and no attempt is made.
struct Backoff {
    error: RedisError,
    delay: Duration,
    until: Instant,
}

impl WorkerConnection {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            compares: AtomicBool::new(true),
            digests: AtomicBool::new(true),
            state: Mutex::default(),
        }
    }

    /// The connection, if it is open. `None` also if Sentinels named its server and must be asked
    /// again before it is used.
    pub(crate) fn established(self: &Arc<Self>) -> Option<Arc<Connection>> {
        self.usable(&mut self.state())
    }

    #[cfg_attr(
        not(feature = "sentinel"),
        expect(
            clippy::unused_self,
            reason = "only Sentinels can take a primary's place away"
        )
    )]
    fn usable(self: &Arc<Self>, state: &mut State) -> Option<Arc<Connection>> {
        let connection = state.open()?;
        #[cfg(feature = "sentinel")]
        if let Some(primary) = connection.primary() {
            match self.server.primary.standing(primary) {
                Standing::AskFirst => return None,
                Standing::AskBeside => drop(self.attempt(state)),
                Standing::Confirmed => {}
            }
        }
        Some(connection)
    }

    /// The connection, opened if necessary. During the backoff after a failed attempt, returns the
    /// attempt's error.
    pub(crate) async fn get_or_connect(self: &Arc<Self>) -> RedisResult<Arc<Connection>> {
        for _ in 0..MAX_ATTEMPTS {
            let mut attempt = {
                let mut state = self.state();
                if let Some(connection) = self.usable(&mut state) {
                    return Ok(connection);
                }
                self.attempt(&mut state)?
            };
            let _ = attempt.changed().await;
        }
        self.established().ok_or_else(|| {
            let ended = "the server closed each new connection before it could be used";
            (ErrorKind::Io, ended).into()
        })
    }

    /// The attempt to connect that is running, or a new one. It runs in a task of its own, so that
    /// it continues for the other callers if one of them is dropped.
    fn attempt(self: &Arc<Self>, state: &mut State) -> RedisResult<Attempt> {
        if let Some(attempt) = &state.attempt
            && attempt.has_changed().is_ok()
        {
            return Ok(attempt.clone());
        }
        if let Some(backoff) = &state.backoff
            && Instant::now() < backoff.until
        {
            return Err(backoff.error.clone());
        }
        let ended = state.connection.take_if(|it| !it.is_open());
        let delay = ended.map(|it| MIN_DELAY.saturating_sub(it.age()));
        let failed_before = state.backoff.is_some();
        let (running, attempt) = watch::channel(());
        let (worker, server) = (Arc::downgrade(self), Arc::clone(&self.server));
        let current = state.open();
        tokio::spawn(async move {
            sleep(delay.unwrap_or_default()).await;
            let mut result = server.open(current).await;
            // The first error may be over in a moment, so the callers wait for a second try. After
            // a timeout they have waited long enough.
            if let Err(error) = &result
                && !failed_before
                && !error.is_timeout()
            {
                sleep(MIN_DELAY).await;
                result = server.open(None).await;
            }
            if let Some(worker) = worker.upgrade() {
                worker.end_attempt(result);
            }
            drop(running);
        });
        state.attempt = Some(attempt.clone());
        Ok(attempt)
    }

    /// Drops the connection, because it broke. The next call opens another one.
    pub(crate) fn discard(&self, connection: &Arc<Connection>) {
        let mut state = self.state();
        state.connection.take_if(|it| Arc::ptr_eq(it, connection));
    }

    /// Replaces a connection that may be useless although it did not break: the server does not
    /// answer, it became a replica, or it is cut off from the cluster. On a cluster the connection
    /// must be older than `min_age`.
    pub(crate) fn replace(self: &Arc<Self>, connection: &Arc<Connection>, min_age: Duration) {
        if !self.server.address.is_cluster() {
            self.discard(connection);
        } else if connection.age() > min_age {
            let mut state = self.state();
            let current = state.connection.as_ref();
            if current.is_some_and(|current| Arc::ptr_eq(current, connection)) {
                // The old connections serve the other nodes until the new ones are open.
                let _ = self.attempt(&mut state);
            }
        }
    }

    fn end_attempt(&self, result: RedisResult<Arc<Connection>>) {
        let (mut state, address) = (self.state(), &self.server.address);
        let previous = state.backoff.take();
        match result {
            Ok(connection) => {
                if previous.is_some() {
                    tracing::info!("{address:?}: connected to Redis again");
                }
                // The Sentinels may have confirmed the one that is there.
                let current = state.connection.as_ref();
                if current.is_none_or(|it| !Arc::ptr_eq(it, &connection)) {
                    self.compares.store(true, Relaxed);
                    self.digests.store(true, Relaxed);
                }
                state.connection = Some(connection);
            }
            Err(error) => {
                if previous.is_none() {
                    let error = message(address, &error);
                    tracing::warn!(%error, "cannot connect to Redis");
                }
                let delay = previous.map_or(INITIAL_BACKOFF, |previous| previous.delay * 2);
                let delay = delay.min(MAX_BACKOFF);
                state.backoff = Some(Backoff {
                    error,
                    delay,
                    until: Instant::now() + delay,
                });
            }
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state().open().is_some()
    }

    /// Whether the connection is open or a call uses this object.
    pub(crate) fn is_in_use(self: &Arc<Self>) -> bool {
        self.is_open() || Arc::strong_count(self) > 1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&self) -> Option<Arc<Connection>> {
        let connection = self.connection.as_ref();
        connection.filter(|it| it.is_open()).cloned()
    }
}
