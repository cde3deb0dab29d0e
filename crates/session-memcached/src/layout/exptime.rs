use std::time::{SystemTime, UNIX_EPOCH};

/// Up to 30 days memcached takes a number for a duration, and 0 for "never".
const FIRST_INSTANT: u64 = 30 * 24 * 60 * 60 + 1;
/// Seconds after which memcached 1.6 takes an item for one that has expired: January 2038.
const LAST_INSTANT: u64 = i32::MAX as u64;

/// How far the node's clock is ahead at most: it ticks once a second, from the second in which it was started.
const AHEAD: u64 = 1;

/// `expires_at` as memcached takes it: an absolute unix time in whole seconds, rounded down.
pub(super) fn exptime(expires_at: SystemTime) -> u32 {
    legal(seconds(expires_at))
}

/// As [`exptime`], with the second that a node may be ahead, for items that carry their exact end: the node must not
/// drop them before it.
pub(super) fn exptime_to_spare(expires_at: SystemTime) -> u32 {
    legal(seconds(expires_at).saturating_add(AHEAD))
}

fn seconds(instant: SystemTime) -> u64 {
    instant
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn legal(seconds: u64) -> u32 {
    u32::try_from(seconds.clamp(FIRST_INSTANT, LAST_INSTANT)).expect("31 bits fit in 32")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_end_is_absolute_rounded_down_and_never_never() {
        let at = |seconds: f64| exptime(UNIX_EPOCH + Duration::from_secs_f64(seconds));
        assert_eq!(at(1_800_000_000.0), 1_800_000_000);
        assert_eq!(at(1_800_000_000.999), 1_800_000_000);
        // 1970 must not become a duration, and "expired" not "never".
        for past in [0.0, 0.5, 1.0, 2_591_999.0, 2_592_000.0, 2_592_001.0] {
            assert_eq!(at(past), 2_592_001);
        }
        assert_eq!(exptime(UNIX_EPOCH - Duration::from_secs(1)), 2_592_001);
        for far in [
            2_147_483_647.0,
            2_147_483_648.0,
            4_294_967_296.0,
            7_258_118_400.0,
        ] {
            assert_eq!(at(far), 2_147_483_647);
        }
    }

    #[test]
    fn an_item_that_carries_its_end_is_kept_a_second_longer() {
        let at = |millis| exptime_to_spare(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(1_800_000_000_000), 1_800_000_001);
        assert_eq!(at(1_800_000_000_999), 1_800_000_001);
        assert_eq!(at(0), 2_592_001);
        assert_eq!(at(7_258_118_400_000), 2_147_483_647);
    }
}
