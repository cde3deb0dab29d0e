//! Tables of Flask-Session, so that a Flask application and this one share live sessions.

mod fragments;
mod layout;

use session_core::{ExpiredSweep, Result, async_trait};

use crate::{
    dialect::Dialect,
    store::{MAX_STATEMENT, SqlStore, SqlTable},
};
use layout::Flask;

/// Sessions in a table of Flask-Session with `SQLAlchemy`: `id`, `session_id`, `data`, `expiry`.
///
/// [`SqlStore::with_flask_layout`](SqlTable::with_flask_layout) makes one. The layout has no
/// revision, so an update compares the bytes that were loaded, and is refused if others are stored.
/// It has no owner index, and no index on the expiry. A key has 1 to 255 characters of graphic
/// ASCII, as every key of a [`KeyPrefix`](session_core::KeyPrefix) has.
///
/// `MySQL` and `MariaDB` keep whole seconds in this layout. A session may end up to a second early,
/// and never late.
pub type FlaskSqlStore<D> = SqlTable<D, Flask>;

/// A store of any of the databases in Flask-Session's layout, which can create Flask's table.
#[async_trait]
pub trait FlaskSqlSessions: ExpiredSweep {
    /// Creates Flask-Session's table, or checks the one that exists; see
    /// [`FlaskSqlStore::migrate`](SqlTable::migrate).
    async fn migrate(&self) -> Result<()>;
}

#[async_trait]
impl<D: Dialect> FlaskSqlSessions for FlaskSqlStore<D> {
    async fn migrate(&self) -> Result<()> {
        Self::migrate(self).await
    }
}

impl<D: Dialect> SqlStore<D> {
    /// The same pool and table, with rows in Flask-Session's layout.
    ///
    /// Needs the feature `flask`. The limit becomes
    /// [`FlaskSqlStore::DEFAULT_LIMIT`](SqlTable::DEFAULT_LIMIT) if it is larger.
    #[must_use]
    pub fn with_flask_layout(self) -> FlaskSqlStore<D> {
        let limit = self.limit.min(FlaskSqlStore::<D>::DEFAULT_LIMIT);
        SqlTable::build(self.connections, self.table, self.queue, limit)
    }
}

impl<D: Dialect> FlaskSqlStore<D> {
    /// The largest record in bytes, unless [`with_limit`](Self::with_limit) sets another limit.
    ///
    /// On `MySQL` and `MariaDB` it is 65,535, which Flask's `blob` holds. Elsewhere it is 1 MiB,
    /// because an update sends the loaded bytes as well.
    pub const DEFAULT_LIMIT: usize = match D::URL_SCHEMES[0].as_bytes() {
        b"mysql" => 65_535,
        _ => 1 << 20,
    };

    /// Accepts records of up to `bytes`, and at most half of what a statement can carry.
    ///
    /// On `MySQL` and `MariaDB` more than [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT) needs a wider
    /// column than Flask-Session makes. [`migrate`](Self::migrate) checks it.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes.min(MAX_STATEMENT / 2);
        self
    }
}
