use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `instant` as whole milliseconds since 1970, rounded down, as the column holds it.
pub(crate) fn to_millis(instant: SystemTime) -> i64 {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The instant that the column names; `None` if no record of ours could hold it.
pub(crate) fn from_millis(millis: i64) -> Option<SystemTime> {
    let since = Duration::from_millis(u64::try_from(millis).ok()?);
    UNIX_EPOCH.checked_add(since)
}

/// What every statement compares with: this machine's clock, never the database's.
pub(crate) fn now() -> i64 {
    to_millis(SystemTime::now())
}

/// The end of the year 9999, the last that every database and Python have, in microseconds since 1970.
const LAST_MICROS: i64 = 253_402_300_799_000_000;

/// `instant` as whole microseconds since 1970, rounded down, as Flask-Session's column holds it at best.
///
/// An instant before 1970 counts as 1970, and one after the year 9999 as its end.
pub(crate) fn to_micros(instant: SystemTime) -> i64 {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).map_or(LAST_MICROS, |micros| micros.min(LAST_MICROS))
}

/// The instant that Flask-Session's column names; `None` if it is none of ours.
pub(crate) fn from_micros(micros: i64) -> Option<SystemTime> {
    let since = Duration::from_micros(u64::try_from(micros).ok()?);
    UNIX_EPOCH.checked_add(since)
}

/// What the statements for Flask-Session's column compare with.
pub(crate) fn now_micros() -> i64 {
    to_micros(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_rounded_down_to_the_millisecond() {
        let instant = UNIX_EPOCH + Duration::from_nanos(1_999_999);
        assert_eq!(to_millis(instant), 1);
        assert_eq!(from_millis(1), Some(UNIX_EPOCH + Duration::from_millis(1)));
    }

    #[test]
    fn what_the_column_cannot_hold_is_its_nearest_bound() {
        assert_eq!(to_millis(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(from_millis(-1), None);
    }

    #[test]
    fn an_instant_of_flasks_is_rounded_down_to_the_microsecond_and_ends_with_year_9999() {
        let instant = UNIX_EPOCH + Duration::from_nanos(1_999);
        assert_eq!(to_micros(instant), 1);
        assert_eq!(from_micros(1), Some(UNIX_EPOCH + Duration::from_micros(1)));
        assert_eq!(from_micros(-1), None);
        let year = Duration::from_hours(8766);
        assert_eq!(to_micros(UNIX_EPOCH + 9000 * year), LAST_MICROS);
    }
}
