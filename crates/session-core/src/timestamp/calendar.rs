use std::{fmt, str::FromStr};

use super::{Timestamp, TimestampError};

const SECONDS_PER_DAY: i64 = 86_400;
const DAYS_PER_400_YEARS: i64 = 146_097;
/// Days from March 1 of the year 0 to January 1, 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with no fraction, six digits of it, or nine: as many as the nanoseconds need.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.seconds.div_euclid(SECONDS_PER_DAY));
        let second = self.seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
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

    /// Reads RFC 3339: `T`, `t` or a blank between date and time, any fraction, `Z` or an offset. Digits behind the
    /// ninth of a fraction are dropped; a leap second is refused.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let mut rest = Rest(text.as_bytes());
        rest.instant().ok_or(TimestampError)
    }
}

/// What is left of the text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn instant(&mut self) -> Option<Timestamp> {
        let year = self.number(4, 1..=9999)?;
        self.one_of(b"-")?;
        let month = self.number(2, 1..=12)?;
        self.one_of(b"-")?;
        let day = self.number(2, 1..=days_of_month(year, month))?;
        self.one_of(b"Tt ")?;
        let time = self.hour_and_minute()?;
        self.one_of(b":")?;
        let second = self.number(2, 0..=59)?;
        let nanos = if self.one_of(b".").is_some() {
            self.fraction()?
        } else {
            0
        };
        let offset = match self.one_of(b"Zz+-")? {
            b'+' => self.hour_and_minute()?,
            b'-' => -self.hour_and_minute()?,
            _ => 0,
        };
        let seconds = days_until(year, month, day) * SECONDS_PER_DAY + time + second - offset;
        self.0
            .is_empty()
            .then(|| Timestamp::new(seconds, nanos).ok())?
    }

    /// `HH:MM` in seconds.
    fn hour_and_minute(&mut self) -> Option<i64> {
        let hour = self.number(2, 0..=23)?;
        self.one_of(b":")?;
        let minute = self.number(2, 0..=59)?;
        Some(hour * 3600 + minute * 60)
    }

    fn fraction(&mut self) -> Option<u32> {
        let mut nanos = 0;
        let mut unit = 100_000_000;
        let mut digits = 0;
        while let Some(digit) = self.digit() {
            nanos += u32::from(digit) * unit;
            unit /= 10;
            digits += 1;
        }
        (digits > 0).then_some(nanos)
    }

    fn number(&mut self, digits: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let mut number = 0;
        for _ in 0..digits {
            number = number * 10 + i64::from(self.digit()?);
        }
        range.contains(&number).then_some(number)
    }

    fn digit(&mut self) -> Option<u8> {
        self.one_of(b"0123456789").map(|digit| digit - b'0')
    }

    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        allowed.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to a date. Years are counted from March, so that a leap day is a year's last.
fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + days_before_month(months_since_march) + day - 1 - DAYS_BEFORE_1970
}

/// The date that is `days` after January 1, 1970: year, month, day.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_BEFORE_1970;
    let era = days.div_euclid(DAYS_PER_400_YEARS);
    let day_of_era = days.rem_euclid(DAYS_PER_400_YEARS);
    // Without their leap days all years are of the same length.
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (day_of_year * 5 + 2) / 153;
    let day = day_of_year - days_before_month(months_since_march) + 1;
    let month = (months_since_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month < 3);
    (year, month, day)
}

/// Days from March 1: five months from March on have 153 days, and so have the next five.
fn days_before_month(months_since_march: i64) -> i64 {
    (months_since_march * 153 + 2) / 5
}
