//! Converts between instants and the milliseconds since 1970 that files and names hold.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970. Rounded up, so that nothing expires too early. Earlier instants are 0.
pub(crate) fn to_millis(instant: SystemTime) -> u64 {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The instant `millis` milliseconds after 1970.
pub(crate) fn from_millis(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_rounded_up_to_its_millisecond() {
        let exact = UNIX_EPOCH + Duration::from_millis(4_102_444_800_123);
        assert_eq!(to_millis(exact), 4_102_444_800_123);
        assert_eq!(
            to_millis(exact + Duration::from_nanos(1)),
            4_102_444_800_124
        );
        assert_eq!(to_millis(UNIX_EPOCH - Duration::from_secs(1)), 0);
    }
}
