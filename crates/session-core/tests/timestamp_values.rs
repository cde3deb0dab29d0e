//! Timestamps in a session: written as Flask does, and read by every type that reads RFC 3339.

use serde::{Deserialize, Serialize};
use session_core::{Dynamic, Error, Format, Timestamp, Value};

fn msgpack<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let value = Value::encode(value, Format::MessagePack).expect("the tests' types encode");
    value.as_bytes().to_vec()
}

#[test]
fn a_timestamp_is_its_extension_in_messagepack_and_rfc_3339_in_json() {
    let at = Timestamp::new(1_704_164_645, 678_901_000).unwrap();
    assert_eq!(msgpack(&at), b"\xd7\xff\xa1\xdc\xd4\x20\x65\x93\x7d\x25");
    assert_eq!(msgpack(&Some([at])), [&b"\x91"[..], &msgpack(&at)].concat());
    let json = Value::encode(&at, Format::Json).unwrap();
    assert_eq!(json.as_bytes(), br#""2024-01-02T03:04:05.678901Z""#);
    // Nothing but a session knows the extension.
    assert_eq!(
        serde_json::to_string(&at).unwrap().as_bytes(),
        json.as_bytes()
    );
}

// datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=utc), as Flask writes it.
const FLASK: &[u8] = b"\xd7\xff\xa1\xdc\xd4\x20\x65\x93\x7d\x25";
const TEXT: &str = "2024-01-02T03:04:05.678901Z";

fn value(parts: &[&[u8]]) -> Value {
    Value::from_encoded(parts.concat(), Format::MessagePack).expect("the tests' values are whole")
}

#[test]
fn a_timestamp_that_flask_wrote_is_read_as_any_type_that_reads_rfc_3339() {
    let flask = value(&[FLASK]);
    assert_eq!(flask.decode::<String>().unwrap(), TEXT);
    let at: Timestamp = flask.decode().unwrap();
    assert_eq!(at.to_string(), TEXT);
    assert_eq!(flask.decode::<Option<Timestamp>>().unwrap(), Some(at));
    let chrono: chrono::DateTime<chrono::Utc> = flask.decode().unwrap();
    assert_eq!(chrono.timestamp_micros(), 1_704_164_645_678_901);
    let jiff: jiff::Timestamp = flask.decode().unwrap();
    assert_eq!(jiff.to_string(), TEXT);
}

#[test]
fn a_timestamp_that_flask_wrote_is_read_at_any_depth() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct AnyValueVisitor {
        #[serde(with = "time::serde::rfc3339")]
        at: time::OffsetDateTime,
        count: i8,
        tag: Option<Tag>,
        events: Vec<Event>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Tag(String);
    #[derive(Debug, PartialEq, Deserialize)]
    enum Event {
        None,
        One(jiff::Timestamp),
        Many { times: [Option<jiff::Timestamp>; 2] },
    }

    let events: [&[u8]; 5] = [
        b"\x93\xa4None\x81\xa3One",
        FLASK,
        b"\x81\xa4Many\x81\xa5times\x92",
        FLASK,
        b"\xc0",
    ];
    let visit = [
        &b"\x84\xa2at"[..],
        FLASK,
        b"\xa5count\xff\xa3tag\xa1x\xa6events",
        &events.concat(),
    ];
    let visit: AnyValueVisitor = value(&visit).decode().unwrap();
    let at: jiff::Timestamp = TEXT.parse().unwrap();
    assert_eq!(visit.at.unix_timestamp_nanos(), at.as_nanosecond());
    assert_eq!(visit.count, -1);
    assert_eq!(visit.tag, Some(Tag("x".into())));
    let times = [Some(at), None];
    assert_eq!(
        visit.events,
        [Event::None, Event::One(at), Event::Many { times }]
    );
}

#[test]
fn another_extension_is_no_timestamp() {
    for bytes in [
        &b"\xd6\x05\x65\x93\x7d\x25"[..],
        b"\xc7\x03\xff\0\0\0",
        b"\x92\xff\x01",
    ] {
        let value = Value::from_encoded(bytes, Format::MessagePack).unwrap();
        assert!(matches!(
            value.decode::<Timestamp>(),
            Err(Error::Decode { .. })
        ));
        assert!(matches!(
            value.decode::<String>(),
            Err(Error::Decode { .. })
        ));
    }
}

// What Python's datetime has no place for: msgspec rounds it, and the last half microsecond into
// the year 10000.
#[test]
fn a_session_keeps_whole_microseconds_and_cuts_what_is_finer() {
    let fine =
        |seconds, nanos| Timestamp::new(seconds, nanos).expect("the tests' instants are in range");
    for (given, kept) in [
        (Timestamp::MAX, fine(Timestamp::MAX.seconds(), 999_999_000)),
        (fine(-1, 999_999_999), fine(-1, 999_999_000)),
        (fine(-1, 1), fine(-1, 0)),
        (
            fine(1_704_164_645, 678_901_500),
            fine(1_704_164_645, 678_901_000),
        ),
        (fine(0, 999), fine(0, 0)),
        (Timestamp::MIN, Timestamp::MIN),
    ] {
        for format in [Format::MessagePack, Format::Json] {
            let value = Value::encode(&given, format).unwrap();
            assert_eq!(value.decode::<Timestamp>().unwrap(), kept);
            assert_eq!(value, Value::encode(&kept, format).unwrap());
            assert_eq!(value, Dynamic::Timestamp(given).to_value(format).unwrap());
        }
        assert_eq!(serde_json::to_value(given).unwrap(), kept.to_string());
    }
    assert_eq!(
        msgpack(&Timestamp::MAX),
        b"\xc7\x0c\xff\x3b\x9a\xc6\x18\0\0\0\x3a\xff\xf4\x41\x7f"
    );
}

#[test]
fn what_others_wrote_with_nanoseconds_is_read_as_it_is() {
    let fine = value(&[b"\xd7\xff\x00\x00\x00\x04\0\0\0\0"]);
    let at = Timestamp::new(0, 1).unwrap();
    assert_eq!(fine.decode::<Timestamp>().unwrap(), at);
    assert_eq!(fine.to_dynamic().unwrap(), Dynamic::Timestamp(at));
    let text =
        Value::from_encoded(&br#""1970-01-01T00:00:00.000000001Z""#[..], Format::Json).unwrap();
    assert_eq!(text.decode::<Timestamp>().unwrap(), at);
}
