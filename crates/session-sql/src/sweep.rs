//! The sweep: removes expired records in small batches.

use std::{
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use session_core::{ExpiredSweep, Result, Swept, async_trait};
use sqlx::SqlStr;

use crate::{
    dialect::{Dialect, Row, Value},
    instant::to_micros,
    layout::Layout,
    queries::SWEEP_BATCH,
    retry::Operation,
    store::SqlTable,
    sweep_position::SweepPosition,
};

#[async_trait]
impl<D: Dialect, L: Layout> ExpiredSweep for SqlTable<D, L> {
    /// Removes expired records in batches of 100, by primary key. After each batch it rests for twice
    /// the time that the batch took, at most for a second.
    ///
    /// The library's own layout has an index on `sweep_at`, which is never later than `expires_at`.
    /// A batch is the next records by that index. A record that has not expired gets a later
    /// `sweep_at`. A record that another transaction has locked is left to the next sweep.
    ///
    /// Flask-Session's layout has no index on the expiry, so a sweep reads the whole table by `id`.
    /// It begins where the last one on this store or a clone stopped, and continues at the first
    /// row, so that sweeps with a limit do not read the same live rows again and again.
    ///
    /// A sweep of many live rows takes many calls, minutes for millions. A call that is dropped loses
    /// nothing: the next one continues where it was.
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<Swept> {
        let (began, mut removed) = (Instant::now(), 0);
        while removed < limit {
            let batch = self
                .sweep_batch(to_micros(instant), limit - removed)
                .await?;
            removed += batch.removed;
            if batch.is_last {
                return Ok(swept(removed, true));
            }
            // Other writers poll for SQLite's write lock, less and less often. A sweep that took
            // the lock again at once would keep a request waiting over many batches.
            let rest = batch.took * 2;
            tokio::time::sleep(rest.min(Swept::LONGEST_CALL)).await;
            if began.elapsed() >= Swept::LONGEST_CALL {
                break;
            }
        }
        Ok(swept(removed, false))
    }
}

fn swept(removed: usize, is_done: bool) -> Swept {
    Swept {
        removed: removed as u64,
        is_done,
    }
}

/// What a batch of a sweep did.
struct Batch {
    removed: usize,
    /// Whether the sweep has visited everything.
    is_last: bool,
    took: Duration,
}

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    /// Visits the next rows, `most` of them or [`SWEEP_BATCH`]. The call ends if all of `most` are
    /// removed: it is at its limit.
    async fn sweep_batch(&self, now: i64, most: usize) -> Result<Batch> {
        let (began, size) = (Instant::now(), SWEEP_BATCH.min(most));
        let read = *self.sweep_position();
        let start = if L::SWEEPS_ALL_ROWS {
            read.after()
        } else {
            now
        };
        let batch_size = i64::try_from(size).unwrap_or(i64::MAX);
        let values = [start, batch_size].map(Value::Number);
        let select = &self.queries.sweep_select;
        let rows = self.run(Operation::Sweep, select, &values).await?.rows;
        let (expired, live): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.expires_at <= now);
        let delete = &self.queries.sweep_delete;
        let removed = self.run_on_batch(delete, 0, &expired, now).await?;
        if let Some(postpone) = &self.queries.sweep_postpone {
            self.run_on_batch(postpone, 3, &live, now).await?;
        }
        let last_row = rows.last().filter(|_| rows.len() == size);
        let is_last = if L::SWEEPS_ALL_ROWS {
            let last_row = last_row.map(|row| row.number);
            let mut position = self.sweep_position();
            let is_last = position.advance(read, last_row);
            if removed == most {
                position.begin_here();
            }
            is_last
        } else {
            last_row.is_none()
        };
        Ok(Batch {
            removed,
            is_last,
            took: began.elapsed(),
        })
    }

    fn sweep_position(&self) -> MutexGuard<'_, SweepPosition> {
        let position = self.sweep_position.lock();
        position.unwrap_or_else(PoisonError::into_inner)
    }

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
