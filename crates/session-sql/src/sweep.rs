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
    /// A batch is what is due by `sweep_at`, which is never later than `expires_at`; what turns out to live is put off.
    /// A record that another transaction holds locked is left for the next sweep and not counted.
    async fn sweep(&self, limit: usize) -> Result<u64> {
        let mut removed = 0;
        while removed < limit {
            let batch = SWEEP_BATCH.min(limit - removed);
            let began = Instant::now();
            let swept = self.sweep_batch(batch).await?;
            removed += swept.removed;
            if swept.removed + swept.put_off < batch {
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

/// What became of a batch.
struct Swept {
    removed: usize,
    put_off: usize,
}

impl<D: Dialect> SqlStore<D> {
    async fn sweep_batch(&self, batch: usize) -> Result<Swept> {
        let now = now();
        let most = i64::try_from(batch).unwrap_or(i64::MAX);
        match &self.place.queries.sweep {
            Sweep::Statements(sql) => {
                let values = [now, most, now].map(Value::Number);
                let put_off = self.place.run(Kind::Sweep, &sql.put_off, &values).await?;
                let removed = self.place.run(Kind::Sweep, &sql.delete, &values).await?;
                Ok(Swept {
                    removed: usize::try_from(removed.changed).unwrap_or(batch),
                    put_off: usize::try_from(put_off.changed).unwrap_or(batch),
                })
            }
            Sweep::Transaction(sql) => {
                let mut attempts = Attempts::at(Kind::Sweep);
                loop {
                    match self.sweep_transaction(sql, now, most).await {
                        Ok(swept) => return Ok(swept),
                        Err(error) => self.place.next(&mut attempts, error).await?,
                    }
                }
            }
        }
    }

    async fn sweep_transaction(
        &self,
        sql: &LockingSweep,
        now: i64,
        most: i64,
    ) -> sqlx::Result<Swept> {
        let mut lease = Lease::<D>::of(&self.place.pool).await?;
        D::run_plain(lease.connection(), &sql.isolation).await?;
        let mut transaction = lease.connection().begin().await?;
        let due = [now, most].map(Value::Number);
        let chosen = D::run(&mut transaction, &sql.choose, &due).await?.rows;
        let (ended, alive): (Vec<_>, Vec<_>) = chosen.iter().partition(|row| row.expires_at <= now);
        for (sql, rows) in [(&sql.delete, &ended), (&sql.put_off, &alive)] {
            if let Some(last) = rows.last() {
                let mut keys: Vec<_> = rows
                    .iter()
                    .map(|row| Value::Bytes(&row.store_key))
                    .collect();
                // The statement has places for a full batch; a key named twice counts once.
                keys.resize(SWEEP_BATCH, Value::Bytes(&last.store_key));
                D::run(&mut transaction, sql, &keys).await?;
            }
        }
        transaction.commit().await?;
        lease.end(Ok(Swept {
            removed: ended.len(),
            put_off: alive.len(),
        }))
    }
}
