use std::time::Instant;

use session_core::{ExpiredSweep, Result, async_trait};

use super::FlaskSqlStore;
use crate::{
    attempts::Kind,
    dialect::{Dialect, Value},
    instant::now_micros,
    queries::SWEEP_BATCH,
    sweep::rest,
};

#[async_trait]
impl<D: Dialect> ExpiredSweep for FlaskSqlStore<D> {
    /// Goes through the table by its primary key, 100 rows at a time, and removes those that have ended or have no expiry.
    ///
    /// The layout has no index on the expiry, so a sweep reads every row's.
    async fn sweep(&self, limit: usize) -> Result<u64> {
        let (mut removed, mut last) = (0, i64::MIN);
        let mut left = limit as u64;
        while left > 0 {
            let began = Instant::now();
            let size = usize::try_from(left).map_or(SWEEP_BATCH, |left| left.min(SWEEP_BATCH));
            let end = self.end_of_step(last, size).await?;
            let gone = self.sweep_step(last, end.unwrap_or(i64::MAX)).await?;
            removed += gone;
            left = left.saturating_sub(gone);
            match end {
                Some(end) => last = end,
                None => break,
            }
            rest(began).await;
        }
        Ok(removed)
    }
}

impl<D: Dialect> FlaskSqlStore<D> {
    /// The id that is `size` places after `last`, unless there are fewer.
    async fn end_of_step(&self, last: i64, size: usize) -> Result<Option<i64>> {
        let offset = i64::try_from(size.saturating_sub(1)).unwrap_or(i64::MAX);
        let values = [Value::Number(last), Value::Number(offset)];
        let found = self
            .place
            .numbers(&self.place.queries.step, &values)
            .await?;
        Ok(found.first().copied())
    }

    async fn sweep_step(&self, last: i64, end: i64) -> Result<u64> {
        let now = Value::Number(now_micros());
        let values = [Value::Number(last), Value::Number(end), now];
        let due = self.place.numbers(&self.place.queries.due, &values).await?;
        let mut removed = 0;
        for batch in due.chunks(SWEEP_BATCH) {
            // The statement has places for a full batch; an id named twice is deleted once.
            let mut values = vec![Value::Number(batch[0]); SWEEP_BATCH];
            for (place, id) in values.iter_mut().zip(batch) {
                *place = Value::Number(*id);
            }
            values.push(now);
            let sql = &self.place.queries.sweep;
            removed += self.place.run(Kind::Sweep, sql, &values).await?.changed;
        }
        Ok(removed)
    }
}
