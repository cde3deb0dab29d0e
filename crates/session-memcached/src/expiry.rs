//! Converts a record's `expires_at` to memcached's expiration time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The smallest number that memcached reads as a unix time. It reads smaller numbers as a duration
/// of up to 30 days, and 0 as "never expires".
const MIN_UNIX_TIME: u64 = 30 * 24 * 60 * 60 + 1;
/// January 2038. Memcached 1.6 treats an item with a later time as expired.
const MAX_UNIX_TIME: u64 = i32::MAX as u64;

/// How far a node's clock may be ahead, in seconds. The clock ticks once a second, counted from the
/// second in which the node was started.
const MAX_CLOCK_LEAD: u64 = 1;

/// The expiration time of an item whose record expires at `expires_at`: a unix time in seconds that
/// no node's clock reaches before the record expires.
pub(crate) fn exptime(expires_at: SystemTime) -> u32 {
    let since = expires_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let rounding = u64::from(since.subsec_nanos() > 0);
    let seconds = since.as_secs().saturating_add(rounding + MAX_CLOCK_LEAD);
    u32::try_from(seconds.clamp(MIN_UNIX_TIME, MAX_UNIX_TIME)).expect("31 bits fit in 32")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_end_is_rounded_up_to_the_second_plus_one_second() {
        let at = |seconds, nanos| exptime(UNIX_EPOCH + Duration::new(seconds, nanos));
        assert_eq!(at(1_800_000_000, 0), 1_800_000_001);
        assert_eq!(at(1_800_000_000, 1), 1_800_000_002);
        assert_eq!(at(1_800_000_000, 999_999_999), 1_800_000_002);
    }

    #[test]
    fn an_exptime_is_never_read_as_a_duration_or_as_never() {
        let at = |seconds: f64| exptime(UNIX_EPOCH + Duration::from_secs_f64(seconds));
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
