use std::time::{SystemTime, UNIX_EPOCH};

/// Up to 30 days memcached takes a number for a duration, and 0 for "never".
const FIRST_INSTANT: u64 = 30 * 24 * 60 * 60 + 1;
/// Seconds after which memcached 1.6 takes an item for one that has expired: January 2038.
const LAST_INSTANT: u64 = i32::MAX as u64;

/// How far a node's clock is ahead at most: it ticks once a second, from the second in which it was started.
const AHEAD: u64 = 1;

/// When an item may go whose record ends at `expires_at`, as memcached takes it: an absolute unix time in whole
/// seconds, which no node's clock shows before the record's end.
pub(crate) fn exptime(expires_at: SystemTime) -> u32 {
    let since = expires_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let begun = u64::from(since.subsec_nanos() > 0);
    let seconds = since.as_secs().saturating_add(begun + AHEAD);
    u32::try_from(seconds.clamp(FIRST_INSTANT, LAST_INSTANT)).expect("31 bits fit in 32")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_item_outlives_its_record_by_a_second_and_what_was_begun_of_another() {
        let at = |seconds, nanos| exptime(UNIX_EPOCH + Duration::new(seconds, nanos));
        assert_eq!(at(1_800_000_000, 0), 1_800_000_001);
        assert_eq!(at(1_800_000_000, 1), 1_800_000_002);
        assert_eq!(at(1_800_000_000, 999_999_999), 1_800_000_002);
    }

    #[test]
    fn an_end_is_absolute_and_never_never() {
        let at = |seconds: f64| exptime(UNIX_EPOCH + Duration::from_secs_f64(seconds));
        // 1970 must not become a duration, and "expired" not "never".
        for past in [0.0, 0.5, 1.0, 2_591_998.0, 2_591_999.0, 2_592_000.0] {
            assert_eq!(at(past), 2_592_001);
        }
        assert_eq!(exptime(UNIX_EPOCH - Duration::from_secs(1)), 2_592_001);
        for far in [
            2_147_483_646.0,
            2_147_483_647.0,
            2_147_483_648.0,
            4_294_967_296.0,
            7_258_118_400.0,
        ] {
            assert_eq!(at(far), 2_147_483_647);
        }
    }
}
