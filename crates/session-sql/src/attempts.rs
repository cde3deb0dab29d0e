use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use crate::{
    dialect::{Driver, Trouble},
    fault::Fault,
    pace,
};

const HUNG_UP: [ErrorKind; 2] = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];

/// What may be done again, and for how long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Harmless to repeat when its connection broke and nobody knows what became of it.
    Read,
    /// To be sent again only if it is known not to have been carried out.
    Write,
    /// A write that is harmless to repeat.
    Sweep,
    /// Repeatable, and worth waiting for: no request waits for it.
    Migration,
}

/// The attempts at one call.
pub(crate) struct Attempts {
    kind: Kind,
    began: Instant,
    pause: Duration,
}

impl Attempts {
    pub(crate) fn at(kind: Kind) -> Self {
        Self {
            kind,
            began: Instant::now(),
            pause: Duration::from_millis(2),
        }
    }

    /// Waits for the next attempt, or gives `fault` back if there is none.
    pub(crate) async fn after<D: Driver>(&mut self, fault: Fault) -> Result<(), Fault> {
        if self.began.elapsed() >= self.patience::<D>(&fault) {
            return Err(fault);
        }
        // A random part of the pause, or those who collided would collide again.
        let part = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        tokio::time::sleep(self.pause.mul_f64(part)).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(50));
        Ok(())
    }

    /// How long after the beginning of a call it may be tried again.
    fn patience<D: Driver>(&self, fault: &Fault) -> Duration {
        let patience = match self.kind {
            Kind::Migration => pace::MIGRATION,
            _ => pace::RETRY,
        };
        let trouble = match fault {
            Fault::Unreachable(it) => match &it.source {
                // Its server is there, but slow, or others use all connections.
                sqlx::Error::PoolTimedOut if self.kind == Kind::Migration => Trouble::Conflict,
                // A server that is about to stop, or whose proxy found none, hung up.
                sqlx::Error::Io(error) if HUNG_UP.contains(&error.kind()) => return pace::ACQUIRE,
                // To open a file of SQLite is to write to it, at times.
                sqlx::Error::Database(error) if D::ONE_WRITER => D::trouble(error.as_ref()),
                _ => Trouble::Other,
            },
            Fault::Statement(sqlx::Error::Database(error)) => D::trouble(error.as_ref()),
            Fault::Statement(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => Trouble::Lost,
            _ => Trouble::Other,
        };
        match trouble {
            Trouble::Conflict => patience,
            Trouble::Lost if self.kind != Kind::Write => patience,
            _ => Duration::ZERO,
        }
    }
}
