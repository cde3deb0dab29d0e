use time::OffsetDateTime;

use super::{Timestamp, TimestampError};

impl TryFrom<OffsetDateTime> for Timestamp {
    type Error = TimestampError;

    fn try_from(time: OffsetDateTime) -> Result<Self, TimestampError> {
        Self::new(time.unix_timestamp(), time.nanosecond())
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(instant: Timestamp) -> Self {
        let nanos = i128::from(instant.seconds) * 1_000_000_000 + i128::from(instant.nanos);
        Self::from_unix_timestamp_nanos(nanos).expect("its years are -9999 to 9999 or more")
    }
}
