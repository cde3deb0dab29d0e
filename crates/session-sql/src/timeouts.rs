//! How long each step of a call may take.
//!
//! A request gives its store one second, and an abandoned call must leave the server soon after.

use std::time::Duration;

/// The wait for a free or a new connection.
pub(crate) const ACQUIRE: Duration = Duration::from_millis(800);

/// The attempt to connect that finds out why the pool had no connection for requests lasts so much
/// longer than the pool's own, because it also pings: it must not fail where the pool would succeed.
pub(crate) const PROBE_PING: Duration = Duration::from_millis(100);

/// A request's wait for that attempt, after it waited for the pool.
pub(crate) const CAUSE: Duration = Duration::from_millis(100);

/// The same attempt for a migration. No request waits for it, and the server may be busy. An attempt
/// for requests lasts no longer, whatever the pool is set to: one that hangs holds all others up.
pub(crate) const MIGRATION_PROBE: Duration = Duration::from_secs(4);

/// The statement that shows whether a pooler mixes up statements. It waits for a connection of the
/// server if the pooler has only one.
#[cfg(feature = "postgres")]
pub(crate) const POOLER: Duration = Duration::from_secs(2);

/// A connection that was idle for longer is pinged before it is used.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const TRUST_IDLE: Duration = Duration::from_secs(1);

/// The ping of such a connection. A new one is opened if it is not answered in time.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const PING: Duration = Duration::from_millis(200);

/// When a call that waited for so long is dropped, its server may be gone. The connections that are
/// idle are then closed. A call rarely takes so long otherwise; then new connections are the cost.
pub(crate) const SUSPECT: Duration = Duration::from_millis(150);

/// Reading the rest of a reply after the call was dropped.
pub(crate) const DRAIN: Duration = Duration::from_secs(1);

/// How long calls keep a connection before the pool gets it back and pings it. Whoever waits in the
/// pool waits for that, so it is much less than [`ACQUIRE`].
pub(crate) const KEPT: Duration = Duration::from_millis(50);

/// The ping with which the pool takes a connection back. Less than [`ACQUIRE`], so that a call that
/// waits for a place meanwhile gets one.
pub(crate) const RETURN: Duration = Duration::from_millis(700);

/// The silence after which a sweep or a migration gives up its connection. The server's own limits
/// on a statement and on a lock are over by then.
pub(crate) const SILENCE: Duration = Duration::from_secs(4);

/// The age at which a connection is replaced, so that a database behind a load balancer can move.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// A call is not tried again when this much time has passed since it began.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// The same for a migration, which may wait for another process to create the table.
pub(crate) const MIGRATION_RETRY: Duration = Duration::from_secs(30);

/// The server's limit on waiting for a lock. Whole seconds, because `MySQL` has no finer unit.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const LOCK: Duration = Duration::from_secs(1);

/// The server's limit on a statement.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const STATEMENT: Duration = Duration::from_secs(2);

/// The wait in the queue of writers. A writer that waits longer continues without a permit.
pub(crate) const WRITER_QUEUE: Duration = Duration::from_millis(25);

/// The wait for `SQLite`'s write lock, after which the statement fails and is tried again.
#[cfg(feature = "sqlite")]
pub(crate) const BUSY: Duration = Duration::from_millis(250);
