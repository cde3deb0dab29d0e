mod calendar;
#[cfg(feature = "chrono")]
mod chrono;
mod codec;
mod ext;
#[cfg(feature = "jiff")]
mod jiff;
#[cfg(feature = "time")]
mod time;

use std::{
    error, fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(crate) use codec::NEWTYPE_NAME;
pub(crate) use ext::{EXT_CODE, ExtPair};

/// An instant in UTC, of the years 1 to 9999, to the nanosecond: what Python's aware `datetime` becomes in a session.
///
/// In a `MessagePack` session it is the extension type that Flask-Session writes and reads back as a `datetime`; in JSON
/// it is RFC 3339 text, such as `2024-02-29T12:34:56.123456Z`. It is read from either, whatever the offset.
///
/// Converts from and to [`SystemTime`], and with the features `chrono`, `time` and `jiff` from and to the instants of
/// those crates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// The first instant: 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self {
        seconds: -62_135_596_800,
        nanos: 0,
    };

    /// The last instant: 9999-12-31T23:59:59.999999999Z.
    pub const MAX: Self = Self {
        seconds: 253_402_300_799,
        nanos: 999_999_999,
    };

    /// The instant `seconds` after 1970 (before it, if negative) and `nanos` nanoseconds later.
    ///
    /// # Errors
    ///
    /// If it is not of the years 1 to 9999, or `nanos` is a second or more.
    pub fn new(seconds: i64, nanos: u32) -> Result<Self, TimestampError> {
        let instant = Self { seconds, nanos };
        if nanos > Self::MAX.nanos || instant < Self::MIN || instant > Self::MAX {
            return Err(TimestampError);
        }
        Ok(instant)
    }

    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds since the start of the second: 0 to 999,999,999.
    pub fn nanos(self) -> u32 {
        self.nanos
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = TimestampError;

    fn try_from(time: SystemTime) -> Result<Self, TimestampError> {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => {
                let seconds = i64::try_from(after.as_secs()).map_err(|_| TimestampError)?;
                Self::new(seconds, after.subsec_nanos())
            }
            Err(error) => {
                let before = error.duration();
                let seconds = i64::try_from(before.as_secs()).map_err(|_| TimestampError)?;
                match before.subsec_nanos() {
                    0 => Self::new(-seconds, 0),
                    nanos => Self::new(-seconds - 1, 1_000_000_000 - nanos),
                }
            }
        }
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = TimestampError;

    /// Fails where the system's clock cannot tell the instant: on Windows, before 1601.
    fn try_from(instant: Timestamp) -> Result<Self, TimestampError> {
        let whole = Duration::from_secs(instant.seconds.unsigned_abs());
        let second = if instant.seconds < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        second
            .and_then(|second| second.checked_add(Duration::from_nanos(instant.nanos.into())))
            .ok_or(TimestampError)
    }
}

/// The instant is outside the years that can be told, or a text is no RFC 3339 instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampError;

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an instant of the years 1 to 9999")
    }
}

impl error::Error for TimestampError {}
