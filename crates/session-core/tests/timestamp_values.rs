//! Timestamps in a session: as Flask writes them, and read as whatever reads RFC 3339.

use serde::{Deserialize, Serialize};
use session_core::{Error, Format, Timestamp, Value};

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

#[test]
fn a_timestamp_that_flask_wrote_is_read_as_any_type_that_reads_rfc_3339() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Visit {
        at: chrono::DateTime<chrono::Utc>,
        #[serde(with = "time::serde::rfc3339")]
        until: time::OffsetDateTime,
    }

    // datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=utc), and without the fraction.
    let micros = b"\xd7\xff\xa1\xdc\xd4\x20\x65\x93\x7d\x25";
    let second = b"\xd6\xff\x65\x93\x7d\x25";
    let value = |bytes: &[u8]| Value::from_encoded(bytes.to_vec(), Format::MessagePack).unwrap();
    let text = "2024-01-02T03:04:05.678901Z";
    assert_eq!(value(micros).decode::<String>().unwrap(), text);
    assert_eq!(
        value(micros).decode::<Timestamp>().unwrap().to_string(),
        text
    );
    assert_eq!(
        value(micros)
            .decode::<Option<Timestamp>>()
            .unwrap()
            .unwrap()
            .to_string(),
        text
    );
    assert_eq!(
        value(micros)
            .decode::<jiff::Timestamp>()
            .unwrap()
            .to_string(),
        text
    );
    let visit = [&b"\x82\xa2at"[..], micros, b"\xa5until", second].concat();
    let visit: Visit = value(&visit).decode().unwrap();
    assert_eq!(
        visit
            .at
            .to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        text
    );
    assert_eq!(visit.until.unix_timestamp(), 1_704_164_645);
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
