use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

use super::{Timestamp, TimestampError};

const NANOS_PER_SECOND: i128 = 1_000_000_000;

impl Timestamp {
    fn from_nanos(since_1970: i128) -> Result<Self, TimestampError> {
        let seconds = i64::try_from(since_1970.div_euclid(NANOS_PER_SECOND));
        let nanos = u32::try_from(since_1970.rem_euclid(NANOS_PER_SECOND));
        Self::new(
            seconds.map_err(|_| TimestampError)?,
            nanos.map_err(|_| TimestampError)?,
        )
    }

    fn to_nanos(self) -> i128 {
        i128::from(self.seconds) * NANOS_PER_SECOND + i128::from(self.nanos)
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = TimestampError;

    fn try_from(time: SystemTime) -> Result<Self, TimestampError> {
        let nanos = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()),
            Err(before) => i128::try_from(before.duration().as_nanos()).map(|nanos| -nanos),
        };
        Self::from_nanos(nanos.map_err(|_| TimestampError)?)
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = TimestampError;

    /// Fails where the system's clock cannot tell the instant: on Windows, before 1601.
    fn try_from(instant: Timestamp) -> Result<Self, TimestampError> {
        let nanos = instant.to_nanos();
        let away = Duration::from_nanos_u128(nanos.unsigned_abs());
        let time = if nanos < 0 {
            UNIX_EPOCH.checked_sub(away)
        } else {
            UNIX_EPOCH.checked_add(away)
        };
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
        let second = i128::from(time.timestamp()) * NANOS_PER_SECOND;
        Self::from_nanos(second + i128::from(time.timestamp_subsec_nanos()))
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

    /// Fails within the last two hours of 9999, which jiff leaves out.
    fn try_from(instant: Timestamp) -> Result<Self, jiff::Error> {
        Self::from_nanosecond(instant.to_nanos())
    }
}
