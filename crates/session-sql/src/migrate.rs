use std::sync::Arc;

use session_core::{ExpiredSweep, OwnerIndex, Result, async_trait};
use sqlx::Connection;

use crate::{
    attempts::Kind,
    dialect::Dialect,
    fault::Fault,
    layout::{FOREIGN, Layout},
    lease::Lease,
    store::{FlaskSqlStore, SqlStore, SqlTable},
};

/// A store of any of the databases, which can make its own table.
#[async_trait]
pub trait SqlSessions: ExpiredSweep + OwnerIndex {
    /// Makes the table, or checks the one that is there; see [`SqlStore::migrate`](SqlTable::migrate).
    async fn migrate(&self) -> Result<()>;

    /// The same pool and table in Flask-Session's layout; see
    /// [`SqlStore::with_flask_layout`](SqlTable::with_flask_layout).
    fn with_flask_layout(&self) -> Arc<dyn FlaskSqlSessions>;
}

/// A store of any of the databases in Flask-Session's layout, which can make Flask's table.
#[async_trait]
pub trait FlaskSqlSessions: ExpiredSweep {
    /// Makes Flask-Session's table, or checks the one that is there; see [`FlaskSqlStore::migrate`](SqlTable::migrate).
    async fn migrate(&self) -> Result<()>;
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

#[async_trait]
impl<D: Dialect> FlaskSqlSessions for FlaskSqlStore<D> {
    async fn migrate(&self) -> Result<()> {
        Self::migrate(self).await
    }
}

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    /// Makes the table and its indexes if there is none; one that is there is looked at and left as it is.
    ///
    /// Any number of processes may call it at once. In Flask-Session's layout it makes the table that Flask-Session
    /// does, and nothing besides. The README has the statements, and the rights they need.
    ///
    /// # Errors
    ///
    /// If the table holds something else; in Flask-Session's layout also if `session_id` is not unique, `expiry` has a
    /// time zone, or `data` holds less than the limit; if the rights are missing, or the database fails. A database that
    /// cannot be reached is an error as soon as the pool has waited for its connection (`acquire_timeout`), and one that
    /// is silent after five seconds. Others that make the table are waited for, for half a minute at the most.
    pub async fn migrate(&self) -> Result<()> {
        self.again(Kind::Migration, || self.migrate_once()).await
    }

    async fn migrate_once(&self) -> Result<(), Fault> {
        if self.is_made(Kind::Migration).await? {
            return Ok(());
        }
        let mut lease = Lease::<D>::of(&self.pool, Kind::Migration).await?;
        let making = async {
            let mut transaction = lease.connection().begin().await?;
            for sql in &self.queries.create {
                D::run(&mut transaction, sql, &[]).await?;
            }
            transaction.commit().await
        };
        let outcome = making.await;
        lease.end(outcome)?;
        // Another process may have been the first, with another layout.
        let made = self.is_made(Kind::Migration).await?;
        made.then_some(()).ok_or_else(|| self.unfit(FOREIGN))
    }

    /// Whether the table is there; a fault if it is none for this store.
    pub(crate) async fn is_made(&self, kind: Kind) -> Result<bool, Fault> {
        let mut lease = Lease::<D>::of(&self.pool, kind).await?;
        let facts = D::texts(lease.connection(), &self.queries.facts).await;
        let facts = lease.end(facts)?;
        if facts.iter().any(|fact| fact == "in memory") && !lasts(&self.pool) {
            return Err(Fault::Unfit(
                "a database in memory ends with its connection: give the pool exactly one, never closed, or use connect()".into(),
            ));
        }
        // No column, so no table; what else is said is of one that somebody makes at this moment.
        if facts.iter().all(|fact| fact.contains(' ')) {
            return Ok(false);
        }
        match L::lack(&facts, self.limit) {
            Some(lack) => Err(self.unfit(&lack)),
            None => Ok(true),
        }
    }
}

/// Whether the pool has one connection and never closes it.
fn lasts<D: Dialect>(pool: &sqlx::Pool<D>) -> bool {
    let options = pool.options();
    options.get_max_connections() == 1
        && options.get_idle_timeout().is_none()
        && options.get_max_lifetime().is_none()
}
