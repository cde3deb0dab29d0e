use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The end of the year 9999, the last that every database and Python have, in microseconds since 1970.
const LAST: i64 = 253_402_300_799_000_000;

/// `instant` as whole microseconds since 1970, rounded down.
///
/// An instant before 1970 counts as 1970, and one after the year 9999 as its end.
pub(crate) fn to_micros(instant: SystemTime) -> i64 {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).map_or(LAST, |micros| micros.min(LAST))
}

/// The instant that a column names; one before 1970 counts as 1970, and one after the year 9999 as its end.
pub(crate) fn from_micros(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros.clamp(0, LAST).cast_unsigned())
}

/// This machine's clock, never the database's.
pub(crate) fn now() -> i64 {
    to_micros(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_rounded_down_to_the_microsecond() {
        let instant = UNIX_EPOCH + Duration::from_nanos(1_999);
        assert_eq!(to_micros(instant), 1);
        assert_eq!(from_micros(1), UNIX_EPOCH + Duration::from_micros(1));
    }

    #[test]
    fn what_the_columns_cannot_hold_is_its_nearest_bound() {
        assert_eq!(to_micros(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(from_micros(-1), UNIX_EPOCH);
        let year = Duration::from_hours(8766);
        assert_eq!(to_micros(UNIX_EPOCH + 9000 * year), LAST);
        assert_eq!(to_micros(from_micros(i64::MAX)), LAST);
    }
}
