//! The sweep: removes expired records in small batches.

use std::{
    sync::atomic::Ordering,
    time::{Instant, SystemTime},
};

use session_core::{ExpiredSweep, Result, async_trait};
use sqlx::SqlStr;

use crate::{
    dialect::{Dialect, Row, Value},
    instant::to_micros,
    layout::Layout,
    queries::SWEEP_BATCH,
    retry::Operation,
    store::SqlTable,
};

#[async_trait]
impl<D: Dialect, L: Layout> ExpiredSweep for SqlTable<D, L> {
    /// Removes expired records in batches of 100, by primary key, and rests after each batch.
    ///
    /// The library's own layout has an index on `sweep_at`, which is never later than `expires_at`.
    /// A batch is the next records by that index. A record that has not expired gets a later
    /// `sweep_at`. A record that another transaction has locked is left to the next sweep.
    ///
    /// Flask-Session's layout has no index on the expiry, so a sweep reads the whole table by `id`.
    /// It begins where the last one on this store or a clone stopped, and continues at the first
    /// row, so that sweeps with a limit do not read the same live rows again and again.
    ///
    /// Many live rows make a call long, minutes for millions. It may be dropped at any time, and
    /// the next one continues where it was.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<u64> {
        let now = to_micros(instant);
        let first = self.sweep_from.load(Ordering::Relaxed);
        // The rows of a call: those after `first`, then those up to it.
        let (mut after, mut until) = (first, i64::MAX);
        let mut left = limit;
        while left > 0 {
            let size = SWEEP_BATCH.min(left);
            let began = Instant::now();
            let start = if L::SWEEPS_ALL_ROWS { after } else { now };
            let batch_size = i64::try_from(size).unwrap_or(i64::MAX);
            let values = [start, batch_size].map(Value::Number);
            let select = &self.queries.sweep_select;
            let rows = self.run(Operation::Sweep, select, &values).await?.rows;
            let (expired, live): (Vec<_>, Vec<_>) =
                rows.iter().partition(|row| row.expires_at <= now);
            let removed = self.run_on_batch(&self.queries.sweep_delete, 0, &expired, now);
            left = left.saturating_sub(removed.await?);
            if let Some(postpone) = &self.queries.sweep_postpone {
                self.run_on_batch(postpone, 3, &live, now).await?;
            }
            let at_end = rows.len() < size;
            if L::SWEEPS_ALL_ROWS {
                let last = rows.last().filter(|_| !at_end);
                after = last.map_or(i64::MIN, |row| row.number);
                self.sweep_from.store(after, Ordering::Relaxed);
            }
            if at_end {
                if first == i64::MIN || until == first {
                    break;
                }
                until = first;
            } else if after >= until {
                break;
            }
            // Other writers poll for SQLite's write lock, less and less often. A sweep that took
            // the lock again at once would keep a request waiting over many batches.
            tokio::time::sleep(began.elapsed() * 2).await;
        }
        Ok((limit - left) as u64)
    }
}

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    /// How many records a statement for a batch has changed.
    ///
    /// The statement's values are `now`, `leading_nows` times, then the keys of a full batch, then
    /// `now`.
    async fn run_on_batch(
        &self,
        sql: &SqlStr,
        leading_nows: usize,
        rows: &[&Row],
        now: i64,
    ) -> Result<usize> {
        let Some(first) = rows.first() else {
            return Ok(0);
        };
        let mut values = vec![Value::Number(now); leading_nows];
        values.extend(rows.iter().map(|row| L::sweep_key(row)));
        // The statement has placeholders for a full batch. A key that is repeated counts once.
        values.resize(leading_nows + SWEEP_BATCH, L::sweep_key(first));
        values.push(Value::Number(now));
        let changed = self.run(Operation::Sweep, sql, &values).await?.changed;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }
}
