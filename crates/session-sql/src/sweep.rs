use std::time::Instant;

use session_core::{ExpiredSweep, Result, async_trait};
use sqlx::Connection;

use crate::{
    attempts::{Attempts, Kind},
    dialect::{Dialect, Value},
    instant::now,
    lease::Lease,
    queries::{LockingSweep, SWEEP_BATCH, Sweep},
    store::SqlStore,
};

#[async_trait]
impl<D: Dialect> ExpiredSweep for SqlStore<D> {
    /// Removes expired records in batches of 100, each by the primary key, and rests between them.
    ///
    /// A record that another transaction holds locked is left for the next sweep and not counted.
    async fn sweep(&self, limit: usize) -> Result<u64> {
        let mut removed = 0;
        while removed < limit {
            let batch = SWEEP_BATCH.min(limit - removed);
            let began = Instant::now();
            let found = self.sweep_batch(batch).await?;
            removed += found;
            if found < batch {
                break;
            }
            rest(began).await;
        }
        Ok(removed as u64)
    }
}

/// Leaves the database to others for twice as long as the batch took that began then.
///
/// Who waits for `SQLite`'s write lock asks for it from time to time, ever more rarely: a sweep that took it again at
/// once would keep a request waiting over many batches.
pub(crate) async fn rest(began: Instant) {
    tokio::time::sleep(began.elapsed() * 2).await;
}

impl<D: Dialect> SqlStore<D> {
    async fn sweep_batch(&self, batch: usize) -> Result<usize> {
        let most = i64::try_from(batch).unwrap_or(i64::MAX);
        let due = [Value::Number(now()), Value::Number(most)];
        let locking = match &self.place.queries.sweep {
            Sweep::Statement(sql) => {
                let answer = self.place.run(Kind::Repeatable, sql, &due).await?;
                return Ok(usize::try_from(answer.changed).unwrap_or(batch));
            }
            Sweep::Transaction(locking) => locking,
        };
        let mut attempts = Attempts::at(Kind::Repeatable);
        loop {
            match self.sweep_transaction(locking, &due).await {
                Ok(found) => return Ok(found),
                Err(error) => self.place.next(&mut attempts, error).await?,
            }
        }
    }

    async fn sweep_transaction(
        &self,
        sql: &LockingSweep,
        due: &[Value<'_>],
    ) -> sqlx::Result<usize> {
        let mut lease = Lease::<D>::of(&self.place.pool).await?;
        D::run_plain(lease.connection(), &sql.isolation).await?;
        let mut transaction = lease.connection().begin().await?;
        let chosen = D::run(&mut transaction, &sql.choose, due).await?.rows;
        if let Some(last) = chosen.last() {
            let mut keys: Vec<_> = chosen
                .iter()
                .map(|row| Value::Bytes(&row.store_key))
                .collect();
            // The statement has places for a full batch; a key named twice is deleted once.
            keys.resize(SWEEP_BATCH, Value::Bytes(&last.store_key));
            D::run(&mut transaction, &sql.delete, &keys).await?;
        }
        transaction.commit().await?;
        lease.end(Ok(chosen.len()))
    }
}
