use std::time::{Duration, SystemTime, UNIX_EPOCH};

// Redis refuses 0 and negative instants; a million years is further than anyone's session.
const EARLIEST: i64 = 1;
const LATEST: i64 = i64::MAX >> 8;

/// An instant as Redis takes it: whole milliseconds since 1970, rounded down.
pub(crate) fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis())
        .unwrap_or(LATEST)
        .clamp(EARLIEST, LATEST)
}

/// When a record ends of which Redis, asked at `asked` or later, says that it has `ttl` milliseconds left.
///
/// `None` if it is no live record: gone, at its end, or a key that never expires, which is not ours.
pub(crate) fn end(asked: SystemTime, ttl: i64) -> Option<SystemTime> {
    let ttl = u64::try_from(ttl).ok().filter(|ttl| *ttl > 0)?;
    // Redis counts from its own whole millisecond, so ours must not be later than that.
    let asked = u64::try_from(millis(asked)).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(asked.saturating_add(ttl)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_out_of_range_stay_legal() {
        assert_eq!(millis(UNIX_EPOCH - Duration::from_secs(9)), 1);
        assert_eq!(millis(UNIX_EPOCH), 1);
        assert_eq!(millis(UNIX_EPOCH + Duration::from_micros(2_999)), 2);
        assert_eq!(millis(UNIX_EPOCH + Duration::from_secs(1 << 60)), LATEST);
    }

    #[test]
    fn a_key_without_an_end_is_no_record() {
        let now = SystemTime::now();
        for ttl in [-2, -1, 0] {
            assert_eq!(end(now, ttl), None);
        }
        assert!(end(now, LATEST).is_some());
    }

    #[test]
    fn the_end_is_never_later_than_was_given() {
        let asked = UNIX_EPOCH + Duration::from_micros(5_900);
        assert_eq!(
            end(asked, 1_000),
            Some(UNIX_EPOCH + Duration::from_millis(1_005))
        );
    }
}
