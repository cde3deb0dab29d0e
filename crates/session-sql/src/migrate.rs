//! `migrate()`: creates the table of the sessions, or checks the one that exists.

#[cfg(feature = "flask")]
use std::sync::Arc;

use session_core::{ExpiredSweep, OwnerIndex, Result, async_trait};
use sqlx::Connection;

use crate::{
    connection::unless_silent,
    dialect::Dialect,
    error::CallError,
    layout::{Layout, UNKNOWN_TABLE},
    queries::statement,
    retry::Operation,
    store::{SqlStore, SqlTable},
};

/// A store of any of the databases, which can create its table.
///
/// Only the stores of this crate implement it.
#[async_trait]
pub trait SqlSessions: ExpiredSweep + OwnerIndex {
    /// Creates the table, or checks the one that exists; see
    /// [`SqlStore::migrate`](SqlTable::migrate).
    async fn migrate(&self) -> Result<()>;

    /// The same pool and table in Flask-Session's layout; see
    /// [`SqlStore::with_flask_layout`](SqlTable::with_flask_layout).
    #[cfg(feature = "flask")]
    fn with_flask_layout(&self) -> Arc<dyn crate::FlaskSqlSessions>;
}

#[async_trait]
impl<D: Dialect> SqlSessions for SqlStore<D> {
    async fn migrate(&self) -> Result<()> {
        Self::migrate(self).await
    }

    #[cfg(feature = "flask")]
    fn with_flask_layout(&self) -> Arc<dyn crate::FlaskSqlSessions> {
        Arc::new(Self::with_flask_layout(self.clone()))
    }
}

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    /// Creates the table and its indexes if there is no table. Checks a table that exists, and
    /// does not change it.
    ///
    /// Any number of processes may call it at the same time. In Flask-Session's layout it creates
    /// the same table as Flask-Session. The README has the statements, and the rights they need.
    ///
    /// # Errors
    ///
    /// If the table holds something else or lacks a column or an index, if a pooler mixes up
    /// statements, if the rights are missing, or if the database fails. The error says what to do. In
    /// Flask-Session's layout also if `session_id` is not unique, `expiry` has a time zone, or
    /// `data` holds less than the limit.
    ///
    /// A database that cannot be reached is an error after the pool's `acquire_timeout`, and one
    /// that falls silent after four to five seconds. While all connections are in use, or other
    /// processes create the table, the call waits for half a minute at most. On PostgreSQL it needs a
    /// second connection for a moment, and a server that has none for it is an error at once.
    pub async fn migrate(&self) -> Result<()> {
        self.retry(Operation::Migration, || self.migrate_once())
            .await
    }

    async fn migrate_once(&self) -> Result<(), CallError> {
        let mut connection = self.connections.acquire(Operation::Migration).await?;
        let options = self.pool().connect_options();
        let check = D::check_statements(connection.get_mut(), &options);
        let check = unless_silent::<D, _>(Operation::Migration, check).await;
        // A pooler does not change by itself: whoever starts must not go on and serve requests.
        if let Some(reason) = connection.finish(check).map_err(CallError::Statement)? {
            return Err(CallError::Unsuitable(reason.to_owned()));
        }
        if self.table_exists(Operation::Migration).await? {
            return Ok(());
        }
        let mut connection = self.connections.acquire(Operation::Migration).await?;
        let create = async {
            let mut transaction = connection.get_mut().begin().await?;
            for sql in &self.queries.create {
                D::run(&mut transaction, sql, &[]).await?;
            }
            transaction.commit().await
        };
        let result = unless_silent::<D, _>(Operation::Migration, create).await;
        connection.finish(result).map_err(CallError::Statement)?;
        // Another process may have created the table first, in another layout.
        let exists = self.table_exists(Operation::Migration).await?;
        exists
            .then_some(())
            .ok_or_else(|| self.unsuitable(UNKNOWN_TABLE))
    }

    /// Whether the table exists; an error if it exists and the store cannot use it.
    pub(crate) async fn table_exists(&self, operation: Operation) -> Result<bool, CallError> {
        let mut connection = self.connections.acquire(operation).await?;
        let facts = D::texts(connection.get_mut(), &self.queries.facts);
        let facts = unless_silent::<D, _>(operation, facts).await;
        let facts = connection.finish(facts).map_err(CallError::Statement)?;
        if facts.iter().any(|fact| fact == "in memory") && !keeps_one_connection(self.pool()) {
            return Err(CallError::Unsuitable(
                "a database in memory ends with its connection: \
                 give the pool exactly one connection and never close it, or use connect()"
                    .into(),
            ));
        }
        // No column: there is no table. Facts that are not columns contain a space. They can be
        // found alone while another process creates the table.
        if facts.iter().all(|fact| fact.contains(' ')) {
            return Ok(false);
        }
        match L::mismatch(&facts, self.limit) {
            Some(mismatch) => Err(self.unsuitable(statement::<D>(&self.table, &mismatch).as_str())),
            None => Ok(true),
        }
    }
}

/// Whether the pool has exactly one connection and never closes it.
fn keeps_one_connection<D: Dialect>(pool: &sqlx::Pool<D>) -> bool {
    let options = pool.options();
    options.get_max_connections() == 1
        && options.get_idle_timeout().is_none()
        && options.get_max_lifetime().is_none()
}
