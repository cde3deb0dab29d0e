use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use redis::{ErrorKind, RedisError, RedisResult};
use tokio::sync::Notify;

use crate::{
    connection::Connection,
    server::{Patience, Server},
};

// Between two attempts to connect: after a connection that did not last and a first failure, then doubling.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
// How often one caller sees a connection end before it could be used.
const ATTEMPTS: usize = 3;
// How old a connection must be to be replaced on suspicion alone.
const PROBATION: Duration = Duration::from_secs(1);

/// The connection of one worker thread: opened at first use, opened again when it ends, by one attempt at a time.
pub(crate) struct Lane {
    server: Server,
    patience: Patience,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    opening: bool,
    failures: u32,
    not_before: Option<Instant>,
    error: Option<RedisError>,
    left: bool,
}

enum Step {
    Use(Arc<Connection>),
    Fail(RedisError),
    Pause(Duration),
    Await,
}

impl Lane {
    pub(crate) fn new(server: Server, patience: Patience) -> Self {
        Self {
            server,
            patience,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The connection, if it stands.
    pub(crate) fn standing(&self) -> Option<Arc<Connection>> {
        let connection = self.state().connection.clone();
        connection.filter(|connection| connection.is_alive())
    }

    /// The connection, opened if need be; after a failure to open it that failure, while the pause lasts.
    pub(crate) async fn connection(self: &Arc<Self>) -> RedisResult<Arc<Connection>> {
        let mut attempts = 0;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before the state is looked at, or a change in between would go unnoticed.
            changed.as_mut().enable();
            match self.step() {
                Step::Use(connection) => return Ok(connection),
                Step::Fail(error) => return Err(error),
                Step::Pause(pause) => tokio::time::sleep(pause).await,
                Step::Await if attempts == ATTEMPTS => return Err(ended()),
                Step::Await => {
                    attempts += 1;
                    changed.await;
                }
            }
        }
    }

    fn step(self: &Arc<Self>) -> Step {
        let mut state = self.state();
        if let Some(connection) = state
            .connection
            .take_if(|connection| !connection.is_alive())
        {
            state.not_before = LEAST_PAUSE
                .checked_sub(connection.age())
                .map(|pause| Instant::now() + pause);
        }
        if let Some(connection) = &state.connection {
            return Step::Use(connection.clone());
        }
        if state.opening {
            return Step::Await;
        }
        let now = Instant::now();
        match state.not_before {
            Some(then) if then > now => match &state.error {
                Some(error) => Step::Fail(error.clone()),
                None => Step::Pause(then - now),
            },
            _ => {
                self.open(&mut state);
                Step::Await
            }
        }
    }

    /// In a task of its own, so that a caller who gives up does not end an attempt that others wait for.
    fn open(self: &Arc<Self>, state: &mut State) {
        state.opening = true;
        let attempt = Attempt(Arc::downgrade(self));
        let (server, patience) = (self.server.clone(), self.patience);
        tokio::spawn(async move {
            let result = server.open(patience).await;
            attempt.end(result);
        });
    }

    /// The connection broke: the next caller gets another one.
    pub(crate) fn discard(&self, connection: &Connection) {
        // The old one is dropped after the lock is released.
        let _old = self
            .state()
            .connection
            .take_if(|current| current.is(connection));
    }

    /// The connection may be of no use any more, without having broken: the server is silent, or became a replica.
    pub(crate) fn suspect(self: &Arc<Self>, connection: &Connection) {
        if !connection.is_cluster() {
            self.discard(connection);
        } else if connection.age() > PROBATION {
            // The other nodes are still served by the old connections until the new ones stand.
            let mut state = self.state();
            let current = state.connection.as_ref();
            if !state.opening && current.is_some_and(|current| current.is(connection)) {
                self.open(&mut state);
            }
        }
    }

    /// Like [`suspect`](Self::suspect), for what a new connection might well not change.
    pub(crate) fn suspect_if_old(self: &Arc<Self>, connection: &Connection) {
        if connection.age() > PROBATION {
            self.suspect(connection);
        }
    }

    /// The thread that used this lane is gone.
    pub(crate) fn leave(&self) {
        let mut state = self.state();
        state.left = true;
        let connection = state.connection.take();
        drop(state);
        drop(connection);
    }

    /// Whether a thread may still come back for this lane's connection.
    pub(crate) fn is_in_use(self: &Arc<Self>) -> bool {
        let state = self.state();
        let connected = state.connection.as_ref().is_some_and(|it| it.is_alive());
        !state.left && (connected || state.opening || Arc::strong_count(self) > 1)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, result: RedisResult<Connection>) {
        let mut state = self.state();
        state.opening = false;
        let mut old = None;
        match result {
            Ok(connection) => {
                if state.error.take().is_some() {
                    tracing::info!("redis answers again");
                }
                state.failures = 0;
                state.not_before = None;
                if !state.left {
                    old = state.connection.replace(Arc::new(connection));
                }
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let (pause, told) = match state.failures {
                    // It may have been a moment's trouble, which callers wait out; a time-out has cost them enough.
                    1 if !error.is_timeout() => (LEAST_PAUSE, None),
                    failures => (pause_after(failures), Some(error)),
                };
                if state.error.is_none()
                    && let Some(error) = &told
                {
                    tracing::warn!(%error, "redis cannot be reached");
                }
                state.not_before = Some(Instant::now() + pause);
                state.error = told;
            }
        }
        drop(state);
        drop(old);
        self.changed.notify_waiters();
    }
}

/// One attempt to connect; ends also when the runtime drops its task.
struct Attempt(Weak<Lane>);

impl Attempt {
    fn end(mut self, result: RedisResult<Connection>) {
        if let Some(lane) = mem::take(&mut self.0).upgrade() {
            lane.opened(result);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(lane) = self.0.upgrade() {
            lane.opened(Err(ended()));
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE * 2_u32.pow(failures.saturating_sub(2).min(8));
    doubled.min(LONGEST_PAUSE)
}

fn ended() -> RedisError {
    (
        ErrorKind::Io,
        "the connection ended before it could be used",
    )
        .into()
}
