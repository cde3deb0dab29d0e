use std::sync::Arc;

use session_core::{Error, ExpiredSweep, OwnerIndex, Result, async_trait};
use sqlx::{Connection, SqlStr};

use crate::{
    attempts::{Attempts, Kind},
    dialect::Dialect,
    flask::FlaskSqlSessions,
    layout::{Layout, Statements},
    lease::Lease,
    place::Place,
    store::SqlStore,
};

/// A store of any of the databases, which can make its own table.
#[async_trait]
pub trait SqlSessions: ExpiredSweep + OwnerIndex {
    /// Makes the table, or brings it up to date; see [`SqlStore::migrate`].
    async fn migrate(&self) -> Result<()>;

    /// The same pool and table in Flask-Session's layout; see [`SqlStore::with_flask_layout`].
    fn with_flask_layout(&self) -> Arc<dyn FlaskSqlSessions>;
}

#[async_trait]
impl<D: Dialect> SqlSessions for SqlStore<D> {
    async fn migrate(&self) -> Result<()> {
        Self::migrate(self).await
    }

    fn with_flask_layout(&self) -> Arc<dyn FlaskSqlSessions> {
        Arc::new(Self::with_flask_layout(self.clone()))
    }
}

impl<D: Dialect> SqlStore<D> {
    /// Makes the table and its indexes, or adds what a table of an older version lacks; safe to repeat.
    ///
    /// Any number of processes may call it at once. A table that holds something else is left as it is. The README
    /// has the statements, and the rights they need.
    ///
    /// # Errors
    ///
    /// If the table holds something else, the rights are missing, or the database fails.
    pub async fn migrate(&self) -> Result<()> {
        self.place.migrate().await
    }
}

impl<D: Dialect, Q: Statements> Place<D, Q> {
    pub(crate) async fn migrate(&self) -> Result<()> {
        let mut attempts = Attempts::at(Kind::Migration);
        loop {
            let error = match self.migrate_once().await {
                Ok(layout) => {
                    let obstacle = layout.obstacle(Q::LAYOUT, &self.table);
                    return obstacle.map_or(Ok(()), |fault| Err(Error::backend(D::STORE, fault)));
                }
                Err(error) => error,
            };
            attempts
                .after::<D>(error)
                .await
                .map_err(|error| Error::backend(D::STORE, error))?;
        }
    }

    /// The layout that was found; a table that no obstacle keeps from it is up to date afterwards.
    async fn migrate_once(&self) -> sqlx::Result<Layout> {
        let migration = self.queries.migration();
        let mut lease = Lease::<D>::of(&self.pool).await?;
        let mut transaction = lease
            .connection()
            .begin_with(migration.begin.clone())
            .await?;
        if let Some(sql) = &migration.file
            && !D::holds_connections(&self.pool)
            && D::names(&mut transaction, sql)
                .await?
                .iter()
                .all(String::is_empty)
        {
            return Ok(Layout::Fleeting);
        }
        for sql in &migration.prepare {
            D::run_plain(&mut transaction, sql).await?;
        }
        let layout = Layout::of(&D::names(&mut transaction, &migration.columns).await?);
        let statements: [&[SqlStr]; 2] = match layout {
            Layout::Absent => [&migration.create, &[]],
            Layout::Version1 => [&migration.add_owner, &migration.add_sweep],
            Layout::Version2 => [&[], &migration.add_sweep],
            Layout::Version3 | Layout::Flask | Layout::Foreign | Layout::Fleeting => [&[], &[]],
        };
        for sql in statements.into_iter().flatten() {
            D::run_plain(&mut transaction, sql).await?;
        }
        transaction.commit().await?;
        // The lease is not ended: MySQL's connection, whose limits were lifted for good, is closed that way.
        Ok(layout)
    }

    pub(crate) async fn layout(&self) -> sqlx::Result<Layout> {
        let mut lease = Lease::<D>::of(&self.pool).await?;
        let columns = D::names(lease.connection(), &self.queries.migration().columns).await;
        Ok(Layout::of(&lease.end(columns)?))
    }
}
