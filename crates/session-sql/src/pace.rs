//! How long anything may take: a request waits a second for its store, and a call that nobody waits for any more
//! has to leave the server soon after.

use std::time::Duration;

/// For a free connection, or a new one.
pub(crate) const ACQUIRE: Duration = Duration::from_millis(800);

/// For a server to say why it gives a request no connection, after the pool has waited for one in vain.
pub(crate) const PROBE: Duration = Duration::from_millis(100);

/// A connection that was idle for longer is asked whether it is alive before it is used.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const TRUST_IDLE: Duration = Duration::from_secs(1);

/// For the rest of an exchange that nobody waits for any more.
pub(crate) const DRAIN: Duration = Duration::from_secs(1);

/// A connection is replaced after this long, so that a database behind a load balancer can move.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// A call that met a conflict is not begun again after this.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// A migration waits this long for another one.
pub(crate) const MIGRATION: Duration = Duration::from_secs(30);

/// The same for a migration: no request waits for it, and the server may be busy with others.
pub(crate) const CONNECT: Duration = Duration::from_secs(4);

/// For a lock that somebody else holds; whole seconds, as `MySQL` wants them.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const LOCK: Duration = Duration::from_secs(1);

/// For a whole statement, enforced by the server.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const STATEMENT: Duration = Duration::from_secs(2);

/// For the other writers of this process; who has not had its turn by then writes without.
pub(crate) const TURN: Duration = Duration::from_millis(25);

/// For `SQLite`'s write lock, before the statement fails and is begun again.
#[cfg(feature = "sqlite")]
pub(crate) const BUSY: Duration = Duration::from_millis(250);
