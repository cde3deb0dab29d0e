use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, rounded down; an instant before that counts as 1970.
pub(crate) fn millis(instant: SystemTime) -> u64 {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The instant `millis` milliseconds after 1970.
pub(crate) fn instant(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

/// Now, in milliseconds since 1970.
pub(crate) fn now() -> u64 {
    millis(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_rounded_down_to_its_millisecond() {
        let exact = UNIX_EPOCH + Duration::from_millis(4_102_444_800_123);
        assert_eq!(
            instant(millis(exact + Duration::from_nanos(999_999))),
            exact
        );
        assert_eq!(millis(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert!(instant(u64::MAX) > exact);
    }
}
