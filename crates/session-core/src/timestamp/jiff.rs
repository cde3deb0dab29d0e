use super::{Timestamp, TimestampError};

impl TryFrom<jiff::Timestamp> for Timestamp {
    type Error = TimestampError;

    fn try_from(time: jiff::Timestamp) -> Result<Self, TimestampError> {
        let nanos = time.as_nanosecond();
        let seconds = nanos.div_euclid(1_000_000_000);
        let nanos = nanos.rem_euclid(1_000_000_000);
        Self::new(
            seconds.try_into().map_err(|_| TimestampError)?,
            nanos.try_into().map_err(|_| TimestampError)?,
        )
    }
}

impl TryFrom<Timestamp> for jiff::Timestamp {
    type Error = jiff::Error;

    /// Fails within the last two hours of 9999, which jiff leaves out.
    fn try_from(instant: Timestamp) -> Result<Self, jiff::Error> {
        let nanos = i128::from(instant.seconds) * 1_000_000_000 + i128::from(instant.nanos);
        Self::from_nanosecond(nanos)
    }
}
