use std::time::{Duration, SystemTime, UNIX_EPOCH};

// Redis refuses 0 and negative instants; a million years is further than anyone's session.
const EARLIEST: i64 = 1;
const LATEST: i64 = i64::MAX >> 8;

/// The last whole millisecond since 1970 that lies before `at`: the last in which the record may live.
///
/// Redis still serves a key in the millisecond that is given as its end.
pub(crate) fn last_millisecond(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis())
        .map_or(LATEST, |millis| millis - 1)
        .clamp(EARLIEST, LATEST)
}

/// When a record ends of which Redis, asked at `asked` or later, says that it has `ttl` milliseconds left.
///
/// `None` if it is no live record: gone, or a key that never expires, which is not ours.
pub(crate) fn end(asked: SystemTime, ttl: i64) -> Option<SystemTime> {
    let ttl = Duration::from_millis(u64::try_from(ttl).ok()?);
    // Redis counts from its own whole millisecond, so ours must not be later than that.
    let asked = asked.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let after_the_last = Duration::from_millis(u64::try_from(asked).ok()? + 1);
    UNIX_EPOCH.checked_add(after_the_last)?.checked_add(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_out_of_range_stay_legal() {
        assert_eq!(last_millisecond(UNIX_EPOCH - Duration::from_secs(9)), 1);
        assert_eq!(last_millisecond(UNIX_EPOCH), 1);
        let far = UNIX_EPOCH + Duration::from_secs(1 << 60);
        assert_eq!(last_millisecond(far), LATEST);
    }

    #[test]
    fn a_record_is_over_at_its_end() {
        for micros in [9_000, 9_001, 9_999] {
            let end = UNIX_EPOCH + Duration::from_micros(micros);
            assert_eq!(last_millisecond(end), 8, "alive until 9, exclusively");
        }
    }

    #[test]
    fn a_key_without_an_end_is_no_record() {
        let now = SystemTime::now();
        for ttl in [-2, -1] {
            assert_eq!(end(now, ttl), None);
        }
        assert!(end(now, LATEST).is_some());
    }

    #[test]
    fn the_end_is_never_later_than_was_given() {
        let given = UNIX_EPOCH + Duration::from_micros(9_400);
        for asked in [5_000, 5_900, 8_000, 8_999] {
            let asked = UNIX_EPOCH + Duration::from_micros(asked);
            let server = i64::try_from(asked.duration_since(UNIX_EPOCH).unwrap().as_millis());
            let ttl = last_millisecond(given) - server.unwrap();
            assert_eq!(end(asked, ttl), Some(UNIX_EPOCH + Duration::from_millis(9)));
        }
    }
}
