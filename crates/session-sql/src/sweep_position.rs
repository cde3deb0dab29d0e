//! `SweepPosition`, where the sweep of a table without an index on the expiry continues.

/// How far a sweep has come that reads all rows by their numbers: from some row to the end of the
/// table, and then from the first row to that one. All clones of a store share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SweepPosition {
    /// The next batch is the rows after this number.
    after: i64,
    /// The number where the sweep began.
    first: i64,
    /// Whether it has come to the end of the table.
    is_past_end: bool,
}

impl SweepPosition {
    pub(crate) fn new() -> Self {
        Self::beginning_after(i64::MIN)
    }

    fn beginning_after(row: i64) -> Self {
        Self {
            after: row,
            first: row,
            is_past_end: false,
        }
    }

    pub(crate) fn after(&self) -> i64 {
        self.after
    }

    /// Advances over the batch that was read at the position `read`. `last_row` is the number of its
    /// last row, or `None` if no row comes after it. Returns whether the sweep has now visited all
    /// rows. If so, the next sweep begins here.
    ///
    /// Does nothing if the position is no longer `read`: another sweep, on this store or a clone, has
    /// advanced over the same rows.
    pub(crate) fn advance(&mut self, read: Self, last_row: Option<i64>) -> bool {
        if *self != read {
            return false;
        }
        self.after = last_row.unwrap_or(i64::MIN);
        let is_done = match last_row {
            Some(row) => self.is_past_end && row >= self.first,
            None => self.is_past_end || self.first == i64::MIN,
        };
        if is_done {
            self.begin_here();
        } else if last_row.is_none() {
            self.is_past_end = true;
        }
        is_done
    }

    /// All rows are to be visited from here on, after a call that stopped at its limit: some that
    /// were visited may have expired meanwhile.
    pub(crate) fn begin_here(&mut self) {
        *self = Self::beginning_after(self.after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Advances as a sweep of a table with the rows 1 to 10 does, in batches of two.
    fn batch(position: &mut SweepPosition) -> bool {
        let from = position.after.max(0);
        let rows = (from + 1..=10).take(2);
        let last_row = rows.clone().last().filter(|_| rows.count() == 2);
        position.advance(*position, last_row)
    }

    #[test]
    fn a_sweep_visits_each_row_and_then_begins_again() {
        let mut position = SweepPosition::new();
        for _ in 0..3 {
            // Five batches with rows, and one that finds the end.
            let batches = (0..6).map(|_| batch(&mut position));
            assert_eq!(
                batches.collect::<Vec<_>>(),
                [false, false, false, false, false, true]
            );
        }
    }

    #[test]
    fn a_sweep_that_begins_in_the_middle_ends_there() {
        let mut position = SweepPosition::new();
        assert!(!batch(&mut position) && !batch(&mut position));
        position.begin_here();
        // The rows after 4, the end, and the rows up to 4.
        let batches = (0..6).map(|_| batch(&mut position));
        assert_eq!(
            batches.collect::<Vec<_>>(),
            [false, false, false, false, false, true]
        );
        assert_eq!(position, SweepPosition::beginning_after(4));
    }

    #[test]
    fn a_batch_that_another_sweep_has_visited_too_moves_nothing() {
        let mut position = SweepPosition::beginning_after(4);
        let read = position;
        assert!(!position.advance(read, None));
        let past_end = position;
        // It would otherwise end the sweep before the rows up to 4 were visited.
        assert!(!position.advance(read, Some(6)));
        assert_eq!(position, past_end);
    }
}
