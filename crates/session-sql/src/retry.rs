//! Which calls are tried again after an error, when, and for how long.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use sqlx::Error;

use crate::{
    dialect::{Driver, ErrorClass, error_class},
    error::CallError,
    timeouts,
};

/// How the system reports a connection that the other side closed.
const HUNG_UP: [ErrorKind; 2] = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];

/// What a call does, which decides when it may be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Repeated also when its connection broke.
    Read,
    /// Repeated only if it is certain that the database did not carry it out.
    Write,
    /// A write that may be carried out twice, so it is repeated as a read is.
    Sweep,
    /// Repeated as a read is, and for longer, because no request waits for it.
    Migration,
}

/// The attempts of one call: when the first began, and the backoff before the next.
pub(crate) struct Retry {
    operation: Operation,
    began: Instant,
    backoff: Duration,
}

impl Retry {
    pub(crate) fn new(operation: Operation) -> Self {
        Self {
            operation,
            began: Instant::now(),
            backoff: Duration::from_millis(2),
        }
    }

    /// Waits for the backoff, or returns `error` if the call must not be tried again.
    pub(crate) async fn back_off<D: Driver>(&mut self, error: CallError) -> Result<(), CallError> {
        if self.began.elapsed() >= self.time_limit::<D>(&error) {
            return Err(error);
        }
        // A random part of the backoff: calls that collided must not collide again.
        let part = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        tokio::time::sleep(self.backoff.mul_f64(part)).await;
        self.backoff = (self.backoff * 2).min(Duration::from_millis(50));
        Ok(())
    }

    /// How long after the beginning of a call it may be tried again. Zero: not at all.
    fn time_limit<D: Driver>(&self, error: &CallError) -> Duration {
        let (migration, limit) = match self.operation {
            Operation::Migration => (true, timeouts::MIGRATION_RETRY),
            _ => (false, timeouts::RETRY),
        };
        let class = match error {
            CallError::Unreachable(unreachable) => match &*unreachable.source {
                // The server answers, but it is slow, or other calls use all connections.
                Error::PoolTimedOut if migration => ErrorClass::Conflict,
                // The server is about to stop, or its proxy found no server.
                Error::Io(error) if HUNG_UP.contains(&error.kind()) => return timeouts::ACQUIRE,
                // Opening a file of SQLite can need its write lock.
                error @ Error::Database(_) if D::ONE_WRITER => error_class::<D>(error),
                _ => ErrorClass::Other,
            },
            // It was silent for seconds, and whoever starts would wait for all of its time.
            CallError::Statement(Error::Io(error))
                if migration && error.kind() == ErrorKind::TimedOut =>
            {
                ErrorClass::Other
            }
            CallError::Statement(error) => error_class::<D>(error),
            CallError::Unsuitable(_) => ErrorClass::Other,
        };
        match class {
            ErrorClass::Conflict => limit,
            ErrorClass::Disconnected if self.operation != Operation::Write => limit,
            _ => Duration::ZERO,
        }
    }
}
