//! Points in time as the columns hold them: microseconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The end of the year 9999, in microseconds since 1970. Every database and Python have no later
/// year.
pub(crate) const LAST: i64 = 253_402_300_799_000_000;

/// `instant` in microseconds since 1970, rounded down.
///
/// An earlier instant counts as the beginning of 1970, one after the year 9999 as its end.
pub(crate) fn to_micros(instant: SystemTime) -> i64 {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).map_or(LAST, |micros| micros.min(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_rounded_down_to_the_microsecond() {
        let instant = UNIX_EPOCH + Duration::from_nanos(1_999);
        assert_eq!(to_micros(instant), 1);
    }

    #[test]
    fn an_instant_out_of_range_is_the_nearest_bound() {
        assert_eq!(to_micros(UNIX_EPOCH - Duration::from_secs(1)), 0);
        let year = Duration::from_hours(8766);
        assert_eq!(to_micros(UNIX_EPOCH + 9000 * year), LAST);
    }
}
