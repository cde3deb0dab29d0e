//! Percentiles of measured times.

use std::time::Duration;

/// The time within which `percent` of every hundred `times` lie.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    assert!(!times.is_empty(), "nothing was measured");
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}
