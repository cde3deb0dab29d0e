use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Where the sweep goes on, and when a write may start one.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    shard: u8,
    /// Live sessions, as far as this process knows; none before the first sweep.
    known: Option<u64>,
    /// A sweep that finds nothing to remove must not follow upon the other.
    not_before: Option<Instant>,
}

/// A sweep that a write started and that has not ended by then never will.
const LONGEST: Duration = Duration::from_hours(1);

impl Pace {
    /// The shard at which the next sweep begins.
    pub(crate) fn shard(&self) -> u8 {
        self.state().shard
    }

    pub(crate) fn go_on_from(&self, shard: u8) {
        self.state().shard = shard;
    }

    /// Takes note of how many sessions a sweep found alive.
    pub(crate) fn counted(&self, live: u64) {
        self.state().known = Some(live);
    }

    /// Counts a new session; whether a sweep is due because there are more than `threshold`.
    pub(crate) fn one_more(&self, threshold: u64) -> bool {
        let mut state = self.state();
        state.known = state.known.map(|known| known.saturating_add(1));
        let crowded = state.known.is_none_or(|known| known > threshold);
        let now = Instant::now();
        let due = crowded && state.not_before.is_none_or(|at| at <= now);
        if due {
            state.not_before = Some(now + LONGEST);
        }
        due
    }

    /// Takes note that the sweep that was due is over.
    pub(crate) fn swept(&self, begun: Instant) {
        // A tenth of the time at most goes into sweeps of this kind, however full the directory is of live sessions.
        let pause = (begun.elapsed() * 10).max(Duration::from_secs(1));
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
    fn writes_start_a_sweep_only_above_the_threshold_one_at_a_time_and_not_too_often() {
        let pace = Pace::default();
        assert!(pace.one_more(2), "before the first sweep nothing is known");
        assert!(!pace.one_more(2), "one is under way");
        pace.counted(0);
        pace.swept(Instant::now());
        assert_eq!([pace.one_more(2), pace.one_more(2)], [false; 2]);
        assert!(!pace.one_more(2), "too soon after the last one");
        pace.state().not_before = None;
        assert!(pace.one_more(2), "three are more than two");
    }
}
