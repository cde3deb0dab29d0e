use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

/// Where the sweep goes on, and when a write may start one.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    shard: AtomicU8,
    crowd: Mutex<Crowd>,
}

#[derive(Debug, Default)]
struct Crowd {
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
        self.shard.load(Ordering::Relaxed)
    }

    pub(crate) fn go_on_from(&self, shard: u8) {
        self.shard.store(shard, Ordering::Relaxed);
    }

    /// Takes note of how many sessions a sweep found alive.
    pub(crate) fn counted(&self, live: u64) {
        self.crowd().known = Some(live);
    }

    /// Counts a new session; whether a sweep is due because there are more than `threshold`.
    pub(crate) fn one_more(&self, threshold: u64) -> bool {
        let mut crowd = self.crowd();
        crowd.known = crowd.known.map(|known| known.saturating_add(1));
        let crowded = crowd.known.is_none_or(|known| known > threshold);
        let now = Instant::now();
        let due = crowded && crowd.not_before.is_none_or(|at| at <= now);
        if due {
            crowd.not_before = Some(now + LONGEST);
        }
        due
    }

    /// Takes note that the sweep that was due is over.
    pub(crate) fn swept(&self, begun: Instant) {
        // A tenth of the time at most goes into sweeps of this kind, however full the directory is of live sessions.
        let pause = (begun.elapsed() * 10).max(Duration::from_secs(1));
        self.crowd().not_before = Some(Instant::now() + pause);
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
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
        pace.crowd().not_before = None;
        assert!(pace.one_more(2), "three are more than two");
    }
}
