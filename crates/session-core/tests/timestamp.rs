//! Timestamps: their text, their range and their conversions.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use session_core::Timestamp;

fn at(seconds: i64, nanos: u32) -> Timestamp {
    Timestamp::new(seconds, nanos).expect("the tests' instants are in range")
}

#[test]
fn an_instant_is_of_the_years_1_to_9999() {
    assert!(Timestamp::new(Timestamp::MIN.seconds(), 0).is_ok());
    assert!(Timestamp::new(Timestamp::MIN.seconds() - 1, 999_999_999).is_err());
    assert!(Timestamp::new(Timestamp::MAX.seconds(), 999_999_999).is_ok());
    assert!(Timestamp::new(Timestamp::MAX.seconds() + 1, 0).is_err());
    assert!(Timestamp::new(0, 1_000_000_000).is_err());
    assert!(Timestamp::new(i64::MIN, 0).is_err());
}

#[test]
fn its_text_is_rfc_3339_with_as_many_digits_as_it_needs() {
    for (instant, text) in [
        (Timestamp::MIN, "0001-01-01T00:00:00Z"),
        (Timestamp::MAX, "9999-12-31T23:59:59.999999999Z"),
        (at(0, 0), "1970-01-01T00:00:00Z"),
        (at(-1, 500_000_000), "1969-12-31T23:59:59.500000Z"),
        (at(0, 1), "1970-01-01T00:00:00.000000001Z"),
        (at(951_782_400, 0), "2000-02-29T00:00:00Z"),
        (at(-2_203_891_200, 0), "1900-03-01T00:00:00Z"),
    ] {
        assert_eq!(instant.to_string(), text);
        assert_eq!(text.parse(), Ok(instant));
    }
}

#[test]
fn other_spellings_of_rfc_3339_are_read() {
    for (text, instant) in [
        ("1970-01-01t00:00:00z", at(0, 0)),
        ("1970-01-01 00:00:00Z", at(0, 0)),
        ("1970-01-01T02:00:00+02:00", at(0, 0)),
        ("1969-12-31T19:30:00.5-04:30", at(0, 500_000_000)),
        ("1970-01-01T00:00:00-00:00", at(0, 0)),
        ("1970-01-01T00:00:00.1234567891Z", at(0, 123_456_789)),
    ] {
        assert_eq!(text.parse(), Ok(instant), "{text}");
    }
}

#[test]
fn what_is_no_instant_is_refused() {
    for text in [
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00Z",
        "1970-1-1T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T23:59:60Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00+0200",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+00:60",
        "1970-01-01_00:00:00Z",
        "2016-12-31T23:59:60Z",
        "2016-12-31T22:59:60-01:00",
        "1970-01-01T00:00:00Z ",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "١٩٧٠-01-01T00:00:00Z",
    ] {
        assert!(text.parse::<Timestamp>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn every_instant_survives_its_text_and_the_systems_time(
        seconds in Timestamp::MIN.seconds()..=Timestamp::MAX.seconds(),
        nanos in prop_oneof![Just(0), 0_u32..1_000_000_000],
    ) {
        let instant = at(seconds, nanos);
        prop_assert_eq!(instant.to_string().parse(), Ok(instant));
        let time = SystemTime::try_from(instant).unwrap();
        prop_assert_eq!(Timestamp::try_from(time), Ok(instant));
    }

    #[test]
    fn its_text_is_that_of_others(
        seconds in Timestamp::MIN.seconds()..=Timestamp::MAX.seconds() - 7200,
        micros in 0_u32..1_000_000,
    ) {
        let instant = at(seconds, micros * 1000);
        let other = chrono::DateTime::from_timestamp(seconds, micros * 1000).unwrap();
        let format = if micros == 0 { chrono::SecondsFormat::Secs } else { chrono::SecondsFormat::Micros };
        prop_assert_eq!(instant.to_string(), other.to_rfc3339_opts(format, true));
    }

    #[test]
    fn no_text_does_harm(text in ".{0,40}") {
        let _ = text.parse::<Timestamp>();
    }

    #[cfg(all(feature = "chrono", feature = "jiff"))]
    #[test]
    fn every_instant_survives_the_types_of_other_crates(
        seconds in Timestamp::MIN.seconds()..=Timestamp::MAX.seconds() - 7200,
        nanos in 0_u32..1_000_000_000,
    ) {
        let instant = at(seconds, nanos);
        let chrono = chrono::DateTime::from(instant);
        prop_assert_eq!(chrono.timestamp(), seconds);
        prop_assert_eq!(Timestamp::try_from(chrono), Ok(instant));
        let time = time::OffsetDateTime::from(instant);
        prop_assert_eq!(time.unix_timestamp(), seconds);
        prop_assert_eq!(Timestamp::try_from(time), Ok(instant));
        let jiff = jiff::Timestamp::try_from(instant).unwrap();
        prop_assert_eq!(jiff.as_nanosecond().div_euclid(1_000_000_000), i128::from(seconds));
        prop_assert_eq!(Timestamp::try_from(jiff), Ok(instant));
    }
}

#[test]
fn a_system_time_out_of_range_is_refused() {
    let late = UNIX_EPOCH + Duration::from_secs(70_389_528 * 3600);
    assert!(Timestamp::try_from(late).is_err());
    let early = UNIX_EPOCH - Duration::from_secs(62_135_596_801);
    assert!(Timestamp::try_from(early).is_err());
}

#[cfg(all(feature = "chrono", feature = "jiff"))]
#[test]
fn the_ends_of_the_range_convert_where_the_other_crate_reaches_them() {
    for end in [Timestamp::MIN, Timestamp::MAX] {
        assert_eq!(Timestamp::try_from(chrono::DateTime::from(end)), Ok(end));
        assert_eq!(
            Timestamp::try_from(time::OffsetDateTime::from(end)),
            Ok(end)
        );
    }
    assert!(jiff::Timestamp::try_from(Timestamp::MIN).is_ok());
    assert!(jiff::Timestamp::try_from(Timestamp::MAX).is_err());
    assert!(Timestamp::try_from(chrono::DateTime::<chrono::Utc>::MAX_UTC).is_err());
    assert!(Timestamp::try_from(jiff::Timestamp::MIN).is_err());
    let leap = chrono::NaiveDate::from_ymd_opt(2016, 12, 31)
        .unwrap()
        .and_hms_nano_opt(23, 59, 59, 1_500_000_000)
        .unwrap()
        .and_utc();
    assert_eq!(
        Timestamp::try_from(leap),
        Ok(at(1_483_228_800, 500_000_000))
    );
}
