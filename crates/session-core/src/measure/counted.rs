//! Counts and times by the facade `metrics`.

mod handles;
#[cfg(feature = "flask-cookie")]
mod timed;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use self::handles::{Recorder, Recorders};
#[cfg(feature = "flask-cookie")]
pub(crate) use self::timed::timed;
use super::{CallResult, Described, Operation};
use crate::{
    error::{Error, Result},
    expiry::Millis,
    machine::Answer,
    security_events::EVENTS,
    store::{Connections, SessionStore, Swept},
};

/// The names of the metrics. Attributes never have an id, a key, a user or a value.
///
/// | name | kind | of what | attributes |
/// |---|---|---|---|
/// | `session.store.operation.duration` | histogram, seconds | calls of the store | `operation`: `load`, `insert`, `update`, `delete`, `list`, `sweep`, or `check` ([`Sessions::check_store`](crate::Sessions::check_store)); `outcome`: `found`, `absent`, `forwarded` and `ended` (tombstones), `stored`, `refused` (another request was first; the changes are made again), `done`, or the error: `timeout` (also if nobody waits for the answer any more), `backend`, `unsuitable`, `other` |
/// | `session.request.count` | counter | requests that used the session and are answered | `outcome`: `done`, or the first error that the application met: `store`, `conflict`, `limit`, `application` |
/// | `session.store.operation.active` | gauge | calls of the store that are under way in this process | |
/// | `session.store.connection.count` | gauge | open connections of this process to the backend, of stores that know them: Redis, SQL and MongoDB | `state`: `used`, and of SQL `idle`. A connection to Redis serves many calls at once, so each is used |
/// | `session.store.connection.max` | gauge | how many there may be, where each serves one call at a time: SQL and MongoDB | |
/// | `session.store.connection.pending_requests` | gauge | calls that wait for one, where there is such a limit | |
/// | `session.refresh.count` | counter | writes that move only the expiry | `outcome`: `stored`, `refused` (another request was first), `failed`; the request goes on in any case |
/// | `session.queue.length` | gauge | requests of this process that wait for their turn to change a session that another request changes | |
/// | `session.record.ahead.count` | counter | loaded records that were written more than two seconds in the future, so by a process whose clock is ahead of this one's | |
/// | `session.sweep.removed` | counter | expired records | |
/// | `session.move.count` | counter | sessions that this process moved to the new store of a [`Moving`](crate::Moving), or finished to move | |
/// | `session.security_event.count` | counter | security events, also those that are not logged | `event`: as in [`SECURITY_EVENTS`](crate::SECURITY_EVENTS) |
///
/// The first follows OpenTelemetry's `db.client.operation.duration`: one call of the store, which is
/// one round trip or two. Those of connections follow `db.client.connection.*`. They are as of the last
/// call, or of one within a second before it; of several stores in a process, of that which was called
/// last. A quantile needs buckets, which the application gives its recorder, such as
/// [`METRIC_BUCKETS`]. A request that did not ask for its session is not counted.
///
/// **Install the recorder before the sessions are built.**
/// [`SessionsBuilder::build`](crate::SessionsBuilder::build) begins each counter at 0, with each of
/// its attributes, so that an alert sees its first event. A recorder that is installed later gets
/// nothing of what was before; its counters begin at 0 with the first call of the store after that.
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub const METRICS: [&str; 12] = [
    OPERATION,
    ACTIVE,
    CONNECTIONS,
    MOST_CONNECTIONS,
    PENDING,
    REQUESTS,
    REFRESHES,
    QUEUE,
    AHEAD,
    SWEPT,
    MOVED,
    SECURITY,
];

/// Upper bounds in seconds for the buckets of `session.store.operation.duration`. The alert rules of
/// `ops/alerts.yml` need one at 0.25.
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub const METRIC_BUCKETS: [f64; 11] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5,
];

const OPERATION: &str = "session.store.operation.duration";
const ACTIVE: &str = "session.store.operation.active";
const CONNECTIONS: &str = "session.store.connection.count";
const MOST_CONNECTIONS: &str = "session.store.connection.max";
const PENDING: &str = "session.store.connection.pending_requests";
const REQUESTS: &str = "session.request.count";
const REFRESHES: &str = "session.refresh.count";
const QUEUE: &str = "session.queue.length";
const AHEAD: &str = "session.record.ahead.count";
const SWEPT: &str = "session.sweep.removed";
const MOVED: &str = "session.move.count";
const SECURITY: &str = "session.security_event.count";

/// How far another process's clock may be ahead before a record of it is counted.
const AHEAD_TOLERANCE: Duration = Duration::from_secs(2);

/// How long the numbers of connections are good, in milliseconds.
const COUNTED: u64 = 1000;

/// What the sessions of one store count by.
#[derive(Debug)]
pub(crate) struct Metrics {
    recorders: Recorders,
    /// The calls of the store that are under way.
    active: AtomicU64,
    since: Instant,
    /// When the connections were counted, in milliseconds since then; 0 if they were not.
    counted_at: AtomicU64,
}

/// A call that is under way.
pub(crate) struct UnderWay<'m> {
    metrics: &'m Metrics,
    /// Who was told that it began.
    recorder: Recorder,
    store: &'m dyn SessionStore,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            recorders: Recorders::default(),
            active: AtomicU64::new(0),
            since: Instant::now(),
            counted_at: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Begins each counter at 0: otherwise nobody sees that the first event was one.
    pub(crate) fn begin(&self) {
        self.recorders.with(Recorder::installed(), |_| ());
    }

    pub(crate) fn begin_call<'m>(&'m self, store: &'m dyn SessionStore) -> UnderWay<'m> {
        self.active.fetch_add(1, Relaxed);
        let recorder = Recorder::installed();
        self.recorders
            .with(recorder, |handles| handles.active.increment(1.0));
        UnderWay {
            metrics: self,
            recorder,
            store,
        }
    }

    /// A call of the store was answered, or its time was over.
    pub(crate) fn store_call<T: Described>(
        &self,
        operation: Operation,
        took: Duration,
        answer: &Result<T>,
    ) {
        self.recorders.with(Recorder::installed(), |handles| {
            handles
                .duration(operation, result_of(answer))
                .record(took.as_secs_f64());
        });
    }

    /// A call of the store that began then was answered, or its time was over.
    pub(crate) fn store_answer<T: Described>(
        &self,
        operation: Operation,
        began: Began,
        answer: &Result<T>,
    ) {
        self.store_call(operation, began.0.elapsed(), answer);
    }

    /// Tells how many connections there are, unless that was told a moment ago.
    fn count_connections(&self, store: &dyn SessionStore, active: u64) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let counted_at = self.counted_at.load(Relaxed);
        if counted_at > 0 && now.saturating_sub(counted_at) < COUNTED {
            return;
        }
        self.counted_at.store(now.max(1), Relaxed);
        let Some(Connections { used, idle, max }) = store.connections() else {
            return;
        };
        #[expect(clippy::cast_precision_loss, reason = "there are not so many")]
        let number = |it: u64| it as f64;
        metrics::gauge!(CONNECTIONS, "state" => "used").set(number(used));
        if let Some(idle) = idle {
            metrics::gauge!(CONNECTIONS, "state" => "idle").set(number(idle));
        }
        if let Some(max) = max {
            metrics::gauge!(MOST_CONNECTIONS).set(number(max));
            metrics::gauge!(PENDING).set(number(active.saturating_sub(used)));
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let metrics = self.metrics;
        metrics
            .recorders
            .with(self.recorder, |handles| handles.active.decrement(1.0));
        let active = metrics.active.fetch_sub(1, Relaxed);
        metrics.count_connections(self.store, active.saturating_sub(1));
    }
}

fn result_of<T: Described>(answer: &Result<T>) -> CallResult {
    match answer {
        Ok(answer) => answer.result(),
        Err(Error::Timeout { .. }) => CallResult::Timeout,
        Err(Error::Backend { .. }) => CallResult::Backend,
        Err(Error::Unsuitable { .. }) => CallResult::Unsuitable,
        Err(_) => CallResult::Other,
    }
}

/// When a call of the store began.
#[derive(Clone, Copy)]
pub(crate) struct Began(Instant);

impl Began {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }
}

/// A sweep that began then was answered. It knows no sessions, and is rare.
pub(crate) fn sweep_answer(began: Began, answer: &Result<Swept>) {
    let (operation, outcome) = (Operation::Sweep.name(), result_of(answer).name());
    metrics::histogram!(OPERATION, "operation" => operation, "outcome" => outcome)
        .record(began.0.elapsed().as_secs_f64());
}

/// What a request was answered with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answered {
    Done,
    Store,
    Conflict,
    Limit,
    Application,
}

impl Answered {
    const ALL: [Self; 5] = [
        Self::Done,
        Self::Store,
        Self::Conflict,
        Self::Limit,
        Self::Application,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Store => "store",
            Self::Conflict => "conflict",
            Self::Limit => "limit",
            Self::Application => "application",
        }
    }
}

/// What a request is counted by: the first error that the application met.
#[derive(Debug, Default)]
pub(crate) struct RequestResult {
    error: OnceLock<Answered>,
    counted: OnceLock<()>,
}

impl RequestResult {
    /// The application gets this answer.
    pub(crate) fn met<T>(&self, answer: Result<T>) -> Result<T> {
        answer.inspect_err(|error| {
            let outcome = match error {
                Error::Conflict | Error::Contended => Answered::Conflict,
                Error::TooLarge { .. }
                | Error::TooManyKeys { .. }
                | Error::TooManySessions { .. } => Answered::Limit,
                error if error.status() == 503 => Answered::Store,
                _ => Answered::Application,
            };
            let _first = self.error.set(outcome);
        })
    }

    /// The request is answered. It counts once, if it has used its session or could not.
    pub(crate) fn answered(&self, metrics: &Metrics, has_used: bool) {
        let error = self.error.get().copied();
        if (has_used || error.is_some()) && self.counted.set(()).is_ok() {
            metrics.recorders.with(Recorder::installed(), |handles| {
                handles
                    .request(error.unwrap_or(Answered::Done))
                    .increment(1);
            });
        }
    }
}

/// A refresh was answered.
pub(crate) fn refreshed(answer: &Answer) {
    let outcome = match answer {
        Answer::Written(Ok(written)) => written.result().name(),
        Answer::Written(Err(_)) => "failed",
        _ => return,
    };
    metrics::counter!(REFRESHES, "outcome" => outcome).increment(1);
}

/// A request begins to wait for its turn, or ends to.
pub(crate) fn waits(begins: bool) {
    metrics::gauge!(QUEUE).increment(if begins { 1.0 } else { -1.0 });
}

/// A live record was loaded, which a process wrote when its clock was at `used_at`.
pub(crate) fn written_at(used_at: Option<Millis>, now: Millis) {
    if used_at.is_some_and(|at| at.since(now) > AHEAD_TOLERANCE) {
        metrics::counter!(AHEAD).increment(1);
    }
}

/// A sweep removed records.
pub(crate) fn swept(removed: u64) {
    metrics::counter!(SWEPT).increment(removed);
}

/// A session is in the new store.
pub(crate) fn moved() {
    metrics::counter!(MOVED).increment(1);
}

/// A security event, logged or not.
pub(crate) fn security_event(event: &'static str) {
    debug_assert!(EVENTS.contains(&event), "{event} does not begin at 0");
    metrics::counter!(SECURITY, "event" => event).increment(1);
}
