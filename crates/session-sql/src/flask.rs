//! Rows as Flask-Session lays them out, so that a Flask application and this one can share live sessions.

mod migrate;
mod sessions;
mod sweep;

use std::{fmt, sync::Arc};

use session_core::{Error, Result, StoreKey};
use sqlx::Pool;

pub use self::migrate::FlaskSqlSessions;
use crate::{
    dialect::Dialect,
    fault::Fault,
    place::Place,
    queries::{FlaskQueries, Queries},
};

/// The longest key that the column `session_id` takes, in characters.
const MAX_KEY: usize = 255;

/// Sessions in a table of Flask-Session with `SQLAlchemy`: `id`, `session_id`, `data`, `expiry`.
///
/// Made by [`SqlStore::with_flask_layout`](crate::SqlStore::with_flask_layout). Flask-Session has no revisions: a change is
/// refused unless the very bytes that were loaded are still there. There is no owner index, and no index on the expiry.
/// Keys have 1 to 255 characters of graphic ASCII, as every key made by a
/// [`KeyPrefix`](session_core::KeyPrefix) has.
///
/// `MySQL` and `MariaDB` keep whole seconds here, so a session may end up to a second early, and never late.
pub struct FlaskSqlStore<D: Dialect> {
    place: Place<D, FlaskQueries>,
}

impl<D: Dialect> FlaskSqlStore<D> {
    /// The largest payload accepted unless [`with_limit`](Self::with_limit) says otherwise: on `MySQL` and `MariaDB` the
    /// 65,535 bytes that Flask's `blob` holds, else 1 MiB, because a change sends the bytes that were loaded as well.
    pub const DEFAULT_LIMIT: usize = D::FLASK_PAYLOAD;

    pub(crate) fn of(own: Place<D, Queries>) -> Self {
        Self {
            place: Place {
                pool: own.pool,
                queries: Arc::new(D::flask_queries(&own.table)),
                table: own.table,
                lane: own.lane,
                limit: own.limit.min(Self::DEFAULT_LIMIT),
            },
        }
    }

    /// Accepts payloads of up to `bytes`; at most half of what one statement can carry.
    ///
    /// More than [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT) on `MySQL` and `MariaDB` needs a wider column than Flask-Session
    /// makes, which [`migrate`](Self::migrate) checks.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.place.limit = bytes.min(D::MAX_PAYLOAD / 2);
        self
    }

    /// The pool that the store uses.
    pub fn pool(&self) -> &Pool<D> {
        &self.place.pool
    }
}

/// The key as the column has it: what some database would cut, pad or refuse is none.
fn session_id<D: Dialect>(key: &StoreKey) -> Result<&str> {
    let text = key.as_str();
    let fits = (1..=MAX_KEY).contains(&text.len());
    if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text);
    }
    Err(Error::backend(D::STORE, Fault::Key))
}

impl<D: Dialect> Clone for FlaskSqlStore<D> {
    fn clone(&self) -> Self {
        Self {
            place: self.place.clone(),
        }
    }
}

impl<D: Dialect> fmt::Debug for FlaskSqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlaskSqlStore")
            .field("place", &self.place)
            .finish()
    }
}
