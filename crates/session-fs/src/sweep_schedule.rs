//! `SweepSchedule`, which says when an insert may start a sweep.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The state that all clones of a store share about their sweeps.
#[derive(Debug, Default)]
pub(crate) struct SweepSchedule(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Live sessions as far as this process knows. `None` before the first complete sweep.
    live: Option<u64>,
    /// Keeps sweeps that remove nothing from following each other without a pause.
    not_before: Option<Instant>,
}

/// After this time a sweep that an insert started is assumed to have failed.
const LONGEST: Duration = Duration::from_secs(3600);

impl SweepSchedule {
    /// Records how many live sessions a complete sweep found.
    pub(crate) fn record_live(&self, live: u64) {
        self.state().live = Some(live);
    }

    /// Counts an inserted session. Returns whether the caller is to start a sweep because there
    /// are more than `threshold` sessions.
    pub(crate) fn count_insert(&self, threshold: u64) -> bool {
        let mut state = self.state();
        state.live = state.live.map(|live| live.saturating_add(1));
        let above = state.live.is_none_or(|live| live > threshold);
        let now = Instant::now();
        let due = above && state.not_before.is_none_or(|at| at <= now);
        if due {
            state.not_before = Some(now + LONGEST);
        }
        due
    }

    /// Records the end of a sweep that an insert started.
    pub(crate) fn finish(&self, started: Instant) {
        // At most a tenth of the time goes into such sweeps, even if live sessions alone exceed
        // the threshold.
        let pause = (started.elapsed() * 10).max(Duration::from_secs(1));
        self.state().not_before = Some(Instant::now() + pause);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserts_start_a_sweep_only_above_the_threshold_one_at_a_time_and_with_pauses() {
        let schedule = SweepSchedule::default();
        assert!(
            schedule.count_insert(2),
            "the count is unknown before the first sweep"
        );
        assert!(!schedule.count_insert(2), "a sweep is running");
        schedule.record_live(0);
        schedule.finish(Instant::now());
        let due = [schedule.count_insert(2), schedule.count_insert(2)];
        assert_eq!(due, [false; 2]);
        assert!(!schedule.count_insert(2), "too soon after the last sweep");
        schedule.state().not_before = None;
        assert!(schedule.count_insert(2), "three are more than two");
    }
}
