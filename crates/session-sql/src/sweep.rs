use std::time::{Instant, SystemTime};

use session_core::{ExpiredSweep, Result, async_trait};
use sqlx::SqlStr;

use crate::{
    attempts::Kind,
    dialect::{Dialect, Row, Value},
    instant::to_micros,
    layout::Layout,
    queries::SWEEP_BATCH,
    store::SqlTable,
};

#[async_trait]
impl<D: Dialect, L: Layout> ExpiredSweep for SqlTable<D, L> {
    /// Looks at records in batches of 100, removes by the primary key those that have expired, and rests between them.
    ///
    /// In our own layout a batch is what is due by `sweep_at`, which is never later than `expires_at`; what turns out
    /// to live is put off until it ends, and a record that another transaction holds locked is left for the next sweep.
    /// Flask-Session's layout has no index on the expiry, so that a sweep goes through the whole table by `id`.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<u64> {
        let now = to_micros(instant);
        let (mut left, mut last) = (limit, None);
        while left > 0 {
            let size = SWEEP_BATCH.min(left);
            let began = Instant::now();
            let from = L::sweep_from(now, last.as_ref());
            let most = i64::try_from(size).unwrap_or(i64::MAX);
            let values = [from, most].map(Value::Number);
            let rows = self
                .run(Kind::Sweep, &self.queries.choose, &values)
                .await?
                .rows;
            let (ended, alive): (Vec<_>, Vec<_>) =
                rows.iter().partition(|row| row.expires_at <= now);
            let removed = self.of_batch(&self.queries.remove, 0, &ended, now);
            left = left.saturating_sub(removed.await?);
            if let Some(put_off) = &self.queries.put_off {
                self.of_batch(put_off, 2, &alive, now).await?;
            }
            if rows.len() < size {
                break;
            }
            last = rows.into_iter().last();
            // Leaves the database to others. Who waits for SQLite's write lock asks for it from time to time, ever more
            // rarely: a sweep that took it again at once would keep a request waiting over many batches.
            tokio::time::sleep(began.elapsed() * 2).await;
        }
        Ok((limit - left) as u64)
    }
}

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    /// How many records a statement for a batch has changed. Its values are `now` as many times as `before` says, the
    /// keys of a full batch, and `now`.
    async fn of_batch(
        &self,
        sql: &SqlStr,
        before: usize,
        rows: &[&Row],
        now: i64,
    ) -> Result<usize> {
        let Some(first) = rows.first() else {
            return Ok(0);
        };
        let mut values = vec![Value::Number(now); before];
        values.extend(rows.iter().map(|row| L::swept(row)));
        // The statement has places for a full batch; a record named twice counts once.
        values.resize(before + SWEEP_BATCH, L::swept(first));
        values.push(Value::Number(now));
        let changed = self.run(Kind::Sweep, sql, &values).await?.changed;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }
}
