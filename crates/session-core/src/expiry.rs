//! When a session and its cookie end, as pure functions of a `now`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Browsers keep a cookie for 400 days at most (RFC 6265bis, 5.5).
pub(crate) const MAX_COOKIE_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// An instant from 1970 to the end of the year 9999, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis(u64);

impl Millis {
    const LATEST: u64 = 253_402_300_799_000;

    /// That many milliseconds after 1970, at most the end of the year 9999.
    pub(crate) fn new(millis: u64) -> Self {
        Self(millis.min(Self::LATEST))
    }

    pub(crate) fn get(self) -> u64 {
        self.0
    }

    pub(crate) fn after(self, duration: Duration) -> Self {
        Self::new(self.0.saturating_add(millis(duration)))
    }

    /// The time since `earlier`, or zero if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since 1970.
    pub(crate) fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl From<SystemTime> for Millis {
    /// Rounded down. An instant before 1970 counts as 1970.
    fn from(instant: SystemTime) -> Self {
        Self::new(millis(
            instant.duration_since(UNIX_EPOCH).unwrap_or_default(),
        ))
    }
}

impl From<Millis> for SystemTime {
    fn from(instant: Millis) -> Self {
        UNIX_EPOCH + Duration::from_millis(instant.0)
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long a session may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Since its last use.
    pub(crate) idle: Duration,
    /// Since its creation, its last login or its last reauthentication. Use does not extend it.
    pub(crate) absolute: Option<Duration>,
}

impl Timeouts {
    /// The end of a session that began at `started` and was last used at `used`.
    pub(crate) fn end(&self, started: Millis, used: Millis) -> Millis {
        let idle = used.after(self.idle);
        self.deadline(started)
            .map_or(idle, |deadline| deadline.min(idle))
    }

    /// The end by the absolute timeout.
    pub(crate) fn deadline(&self, started: Millis) -> Option<Millis> {
        self.absolute.map(|absolute| started.after(absolute))
    }

    /// How far an end may lag before a write is due: a tenth of the idle timeout.
    pub(crate) fn tolerance(&self) -> Duration {
        self.idle / 10
    }

    /// How far a cookie's end may lag. A cookie lives 400 days at most.
    pub(crate) fn cookie_tolerance(&self) -> Duration {
        self.idle.min(MAX_COOKIE_AGE) / 10
    }
}

/// The end of the cookie of a session that ends at `end`: at most 400 days from `now`.
pub(crate) fn cookie_end(end: Millis, now: Millis) -> Millis {
    end.min(now.after(MAX_COOKIE_AGE))
}

/// The `Max-Age` of a cookie that ends at `end`: whole seconds, rounded down.
pub(crate) fn cookie_age(end: Millis, now: Millis) -> u64 {
    end.since(now).min(MAX_COOKIE_AGE).as_secs()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: u64) -> Millis {
        Millis::new(seconds * 1000)
    }

    #[test]
    fn the_earlier_of_both_timeouts_ends_a_session() {
        let timeouts = Timeouts {
            idle: Duration::from_secs(60),
            absolute: Some(Duration::from_secs(100)),
        };
        assert_eq!(timeouts.end(at(1000), at(1000)), at(1060));
        assert_eq!(timeouts.end(at(1000), at(1050)), at(1100));
        assert_eq!(timeouts.deadline(at(1000)), Some(at(1100)));
    }

    #[test]
    fn a_cookie_lives_no_longer_than_its_session_nor_400_days() {
        assert_eq!(cookie_age(at(1100), at(1000)), 100);
        assert_eq!(cookie_age(at(900), at(1000)), 0);
        assert_eq!(cookie_age(at(0).after(500 * DAY), at(0)), 34_560_000);
        assert_eq!(cookie_end(at(0).after(500 * DAY), at(0)), at(34_560_000));
    }

    proptest! {
        #[test]
        fn no_duration_overflows(idle: u64, absolute: u64, started: u64, now: u64) {
            let (started, now) = (Millis::new(started), Millis::new(now));
            let timeouts = Timeouts {
                idle: Duration::from_secs(idle),
                absolute: Some(Duration::from_secs(absolute)),
            };
            let end = timeouts.end(started, now);
            prop_assert!(end <= Millis::new(u64::MAX));
            prop_assert!(timeouts.end(started, now.after(DAY)) >= end);
            prop_assert!(cookie_age(end, now) <= 34_560_000);
            prop_assert_eq!(Millis::from(SystemTime::from(end)), end);
        }
    }
}
