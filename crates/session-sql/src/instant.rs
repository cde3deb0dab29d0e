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
}
