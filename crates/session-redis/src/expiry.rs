//! Converts an instant to Redis's unit: unix time in milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

// Redis refuses 0 and negative times. The scores of a sorted set are exact up to 2^53.
const MIN: i64 = 1;
const MAX: i64 = (1 << 53) - 1;

/// The millisecond that contains `at`. Redis keeps a record with this expiry until the millisecond
/// is over.
pub(crate) fn unix_millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis());
    millis.unwrap_or(MAX).clamp(MIN, MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_out_of_range_become_the_nearest_valid_one() {
        assert_eq!(unix_millis(UNIX_EPOCH - Duration::from_secs(9)), 1);
        assert_eq!(unix_millis(UNIX_EPOCH), 1);
        for far in [1 << 50, 1 << 60] {
            assert_eq!(unix_millis(UNIX_EPOCH + Duration::from_secs(far)), MAX);
        }
    }

    #[test]
    fn an_instant_becomes_the_millisecond_that_contains_it() {
        for micros in [9_000, 9_001, 9_999] {
            assert_eq!(unix_millis(UNIX_EPOCH + Duration::from_micros(micros)), 9);
        }
    }
}
