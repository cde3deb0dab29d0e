//! Conversions between `Timestamp` and the instants of other crates.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

use super::{Timestamp, TimestampError};

impl Timestamp {
    fn from_nanos(since_1970: i128) -> Result<Self, TimestampError> {
        let time = OffsetDateTime::from_unix_timestamp_nanos(since_1970);
        time.map_err(|_| TimestampError)?.try_into()
    }

    fn to_nanos(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = TimestampError;

    fn try_from(time: SystemTime) -> Result<Self, TimestampError> {
        Self::from_nanos(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_nanos().cast_signed(),
            Err(before) => -before.duration().as_nanos().cast_signed(),
        })
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = TimestampError;

    /// Fails if `SystemTime` cannot represent the instant: on Windows, before 1601.
    fn try_from(instant: Timestamp) -> Result<Self, TimestampError> {
        let away = Duration::from_secs(instant.seconds().unsigned_abs());
        let second = match instant.seconds() {
            ..0 => UNIX_EPOCH.checked_sub(away),
            _ => UNIX_EPOCH.checked_add(away),
        };
        let nanos = Duration::from_nanos(instant.nanos().into());
        let time = second.and_then(|it| it.checked_add(nanos));
        time.ok_or(TimestampError)
    }
}

impl TryFrom<OffsetDateTime> for Timestamp {
    type Error = TimestampError;

    fn try_from(time: OffsetDateTime) -> Result<Self, TimestampError> {
        Self::new(time.unix_timestamp(), time.nanosecond())
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(instant: Timestamp) -> Self {
        Self::from_unix_timestamp_nanos(instant.to_nanos())
            .expect("its years are -9999 to 9999 or more")
    }
}

#[cfg(feature = "chrono")]
impl<Z: chrono::TimeZone> TryFrom<chrono::DateTime<Z>> for Timestamp {
    type Error = TimestampError;

    /// A leap second becomes the second after it.
    fn try_from(time: chrono::DateTime<Z>) -> Result<Self, TimestampError> {
        let nanos = i128::from(time.timestamp_subsec_nanos());
        Self::from_nanos(i128::from(time.timestamp()) * 1_000_000_000 + nanos)
    }
}

#[cfg(feature = "chrono")]
impl From<Timestamp> for chrono::DateTime<chrono::Utc> {
    fn from(instant: Timestamp) -> Self {
        Self::from_timestamp(instant.seconds, instant.nanos)
            .expect("chrono's years reach beyond 1 to 9999")
    }
}

#[cfg(feature = "jiff")]
impl TryFrom<jiff::Timestamp> for Timestamp {
    type Error = TimestampError;

    fn try_from(time: jiff::Timestamp) -> Result<Self, TimestampError> {
        Self::from_nanos(time.as_nanosecond())
    }
}

#[cfg(feature = "jiff")]
impl TryFrom<Timestamp> for jiff::Timestamp {
    type Error = jiff::Error;

    /// Fails within the last two hours of 9999, which jiff does not support.
    fn try_from(instant: Timestamp) -> Result<Self, jiff::Error> {
        Self::from_nanosecond(instant.to_nanos())
    }
}
