//! `Timestamp`: an instant in a session, as Python's `datetime` has it.

mod convert;
mod encoded;

use std::{error, fmt, str::FromStr};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub(crate) use encoded::{EXT_CODE, NEWTYPE_NAME};

/// An instant in UTC of the years 1 to 9999, exact to the nanosecond. Python's aware `datetime`
/// becomes one in a session.
///
/// In a `MessagePack` session it is the extension type that Flask-Session writes and reads back as
/// a `datetime`; in JSON it is RFC 3339 text, such as `2024-02-29T12:34:56.123456Z`. Both are read,
/// whatever the offset.
///
/// It is written in whole microseconds, like a `datetime`; the rest is cut off. Flask would round
/// it, and at the end of 9999 that would fail each request of the session.
///
/// Converts from and to [`SystemTime`](std::time::SystemTime) and [`OffsetDateTime`], and with the
/// features `chrono` and `jiff` from and to the instants of those crates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// The first instant: 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self::of(-62_135_596_800, 0);

    /// The last instant: 9999-12-31T23:59:59.999999999Z.
    pub const MAX: Self = Self::of(253_402_300_799, 999_999_999);

    const fn of(seconds: i64, nanos: u32) -> Self {
        Self { seconds, nanos }
    }

    /// The instant `seconds` after 1970 (before it, if negative) and `nanos` nanoseconds later.
    ///
    /// # Errors
    ///
    /// If it is not of the years 1 to 9999, or `nanos` is a second or more.
    pub fn new(seconds: i64, nanos: u32) -> Result<Self, TimestampError> {
        let instant = Self::of(seconds, nanos);
        let is_one = nanos < 1_000_000_000 && (Self::MIN..=Self::MAX).contains(&instant);
        is_one.then_some(instant).ok_or(TimestampError)
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

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with no fraction, six digits of it, or nine: as many as the nanoseconds
    /// need.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from(*self);
        let (date, (hour, minute, second)) = (time.date(), time.to_hms());
        write!(f, "{date}T{hour:02}:{minute:02}:{second:02}")?;
        if !self.nanos.is_multiple_of(1000) {
            write!(f, ".{:09}", self.nanos)?;
        } else if self.nanos != 0 {
            write!(f, ".{:06}", self.nanos / 1000)?;
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339: `T`, `t` or a blank between date and time, any fraction, `Z` or an offset.
    /// Digits after the ninth of a fraction are dropped. A leap second is refused.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        // `time` takes any separator, and the leap seconds at the end of months.
        let bytes = text.as_bytes();
        if !matches!(bytes.get(10), Some(b'T' | b't' | b' ')) || bytes.get(17..19) == Some(b"60") {
            return Err(TimestampError);
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError)?;
        time.try_into()
    }
}

/// The instant is outside of the years 1 to 9999, or a text is not an RFC 3339 instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampError;

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an instant of the years 1 to 9999")
    }
}

impl error::Error for TimestampError {}
