use session_core::{Error, ExpiredSweep, Result, async_trait};

use super::FlaskSqlStore;
use crate::{dialect::Dialect, fault::Fault, lease::Lease};

/// A store of any of the databases in Flask-Session's layout, which can make Flask's table.
#[async_trait]
pub trait FlaskSqlSessions: ExpiredSweep {
    /// Makes Flask-Session's table if there is none, and checks one that is there; see [`FlaskSqlStore::migrate`].
    async fn migrate(&self) -> Result<()>;
}

#[async_trait]
impl<D: Dialect> FlaskSqlSessions for FlaskSqlStore<D> {
    async fn migrate(&self) -> Result<()> {
        Self::migrate(self).await
    }
}

impl<D: Dialect> FlaskSqlStore<D> {
    /// Makes the table as Flask-Session does, and nothing besides; one that is there is looked at and left as it is.
    ///
    /// Any number of processes may call it at once. The README has the statements, and the rights they need.
    ///
    /// # Errors
    ///
    /// If the table holds something else, such as sessions in this library's own layout; if `session_id` is not unique,
    /// `expiry` has a time zone, or `data` holds less than the limit; if the rights are missing, or the database fails.
    pub async fn migrate(&self) -> Result<()> {
        self.place.migrate().await?;
        let facts = self.facts().await;
        let facts = facts.map_err(|error| Error::backend(D::STORE, error))?;
        let Some(lack) = self.lack(&facts) else {
            return Ok(());
        };
        let table = self.place.table.to_string();
        Err(Error::backend(D::STORE, Fault::Unfit { table, lack }))
    }

    async fn facts(&self) -> sqlx::Result<Vec<String>> {
        let mut lease = Lease::<D>::of(&self.place.pool).await?;
        let facts = D::names(lease.connection(), &self.place.queries.facts).await;
        lease.end(facts)
    }

    fn lack(&self, facts: &[String]) -> Option<String> {
        let is = |fact: &str| facts.iter().any(|f| f == fact);
        if !is("unique") {
            return Some("session_id has no unique constraint: add one".into());
        }
        if !is("naive") {
            return Some(
                "expiry is no date and time in UTC without a zone: change its type".into(),
            );
        }
        let room = facts.iter().find_map(|fact| fact.strip_prefix("room "));
        let room: usize = room?.parse().ok()?;
        (room < self.place.limit).then(|| {
            let limit = self.place.limit;
            format!("data holds {room} bytes, less than the {limit} of with_limit()")
        })
    }
}
