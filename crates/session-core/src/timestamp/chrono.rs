use chrono::{DateTime, TimeZone, Utc};

use super::{Timestamp, TimestampError};

impl<Z: TimeZone> TryFrom<DateTime<Z>> for Timestamp {
    type Error = TimestampError;

    /// A leap second becomes the second after it.
    fn try_from(time: DateTime<Z>) -> Result<Self, TimestampError> {
        let nanos = time.timestamp_subsec_nanos();
        Self::new(
            time.timestamp() + i64::from(nanos / 1_000_000_000),
            nanos % 1_000_000_000,
        )
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(instant: Timestamp) -> Self {
        Self::from_timestamp(instant.seconds, instant.nanos)
            .expect("chrono's years reach beyond 1 to 9999")
    }
}
