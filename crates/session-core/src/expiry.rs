//! When a session ends: pure functions of a `now` that is passed in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last instant this library computes with: the end of the year 9999.
const FAR_FUTURE: Duration = Duration::from_secs(253_402_300_799);

/// The longest life a browser gives a cookie: 400 days (RFC 6265bis, 5.5).
pub(crate) const MAX_COOKIE_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// `instant + duration`, never beyond the year 9999.
pub(crate) fn after(instant: SystemTime, duration: Duration) -> SystemTime {
    let latest = UNIX_EPOCH + FAR_FUTURE;
    instant
        .checked_add(duration)
        .map_or(latest, |sum| sum.min(latest))
}

/// How long a session may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Since it was last used.
    pub(crate) idle: Duration,
    /// Since it was created or logged in to; activity never extends it.
    pub(crate) absolute: Option<Duration>,
}

impl Timeouts {
    /// When a session that is used `now` ends.
    pub(crate) fn expires_at(&self, created_at: SystemTime, now: SystemTime) -> SystemTime {
        let idle = after(now, self.idle);
        self.deadline(created_at)
            .map_or(idle, |deadline| deadline.min(idle))
    }

    /// The instant that no activity moves.
    pub(crate) fn deadline(&self, created_at: SystemTime) -> Option<SystemTime> {
        self.absolute.map(|absolute| after(created_at, absolute))
    }

    /// Whether using the session `now` would move its end by more than a tenth of the idle timeout.
    pub(crate) fn refresh_due(
        &self,
        created_at: SystemTime,
        expires_at: SystemTime,
        now: SystemTime,
    ) -> bool {
        self.expires_at(created_at, now)
            .duration_since(expires_at)
            .is_ok_and(|gain| gain > self.idle / 10)
    }
}

/// Whole seconds that a cookie may live if its session ends at `expires_at`: rounded down, 400 days at most.
pub(crate) fn cookie_age(expires_at: SystemTime, now: SystemTime) -> u64 {
    expires_at
        .duration_since(now)
        .unwrap_or_default()
        .min(MAX_COOKIE_AGE)
        .as_secs()
}

/// Milliseconds since 1970, rounded down; what came before 1970 counts as 1970.
pub(crate) fn to_millis(instant: SystemTime) -> u64 {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The instant that many milliseconds after 1970, at most the end of the year 9999.
pub(crate) fn from_millis(millis: u64) -> SystemTime {
    after(UNIX_EPOCH, Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_earlier_of_both_timeouts_ends_a_session() {
        let timeouts = Timeouts {
            idle: Duration::from_secs(60),
            absolute: Some(Duration::from_secs(100)),
        };
        assert_eq!(timeouts.expires_at(at(1000), at(1000)), at(1060));
        assert_eq!(timeouts.expires_at(at(1000), at(1050)), at(1100));
        assert_eq!(timeouts.deadline(at(1000)), Some(at(1100)));
    }

    #[test]
    fn a_refresh_is_due_after_a_tenth_and_never_beyond_the_deadline() {
        let timeouts = Timeouts {
            idle: Duration::from_secs(100),
            absolute: Some(Duration::from_secs(1000)),
        };
        assert!(!timeouts.refresh_due(at(0), at(100), at(10)));
        assert!(timeouts.refresh_due(at(0), at(100), at(11)));
        assert!(!timeouts.refresh_due(at(0), at(1000), at(990)));
    }

    #[test]
    fn a_cookie_lives_no_longer_than_its_session_nor_400_days() {
        assert_eq!(cookie_age(at(1100), at(1000)), 100);
        assert_eq!(cookie_age(at(900), at(1000)), 0);
        assert_eq!(cookie_age(at(0) + 500 * DAY, at(0)), 34_560_000);
    }

    proptest! {
        #[test]
        fn no_duration_overflows(idle: u64, absolute: u64, created: u64, now: u64) {
            let created = from_millis(created);
            let now = from_millis(now);
            let timeouts = Timeouts {
                idle: Duration::from_secs(idle),
                absolute: Some(Duration::from_secs(absolute)),
            };
            let end = timeouts.expires_at(created, now);
            prop_assert!(end <= UNIX_EPOCH + FAR_FUTURE);
            prop_assert!(timeouts.expires_at(created, after(now, DAY)) >= end);
            prop_assert!(cookie_age(end, now) <= 34_560_000);
            let _ = timeouts.refresh_due(created, end, now);
        }
    }
}
