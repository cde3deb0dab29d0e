//! Tests of the payload's encodings: round trips at the limits, the same bytes as `rmp_serde`,
//! hostile keys.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{Format, MAX_DEPTH, MAX_KEYS, Payload, Value, msgpack};
use crate::error::Error;

const FORMATS: [Format; 2] = [Format::MessagePack, Format::Json];

/// Each limit, and the numbers beside it.
fn about(limits: &[usize]) -> impl Iterator<Item = usize> {
    limits.iter().flat_map(|limit| limit - 1..=limit + 1)
}

fn value<T: Serialize + ?Sized>(value: &T, format: Format) -> Value {
    Value::encode(value, format).expect("the tests' values can be encoded")
}

/// `payload` with `last` behind it, written and read again, and found to be the same.
fn survives(payload: &Payload, last: Option<(&str, &Value)>, format: Format) -> Payload {
    let written = payload.encode_with(last, format);
    let written = written.expect("it is within the limits");
    let read = Payload::decode(written.clone(), format).expect("what was written can be read");
    let read = read.expect("a map is a session");
    assert_eq!(read.len(), payload.len() + usize::from(last.is_some()));
    assert!(
        read.keys()
            .eq(payload.keys().chain(last.map(|(key, _)| key)))
    );
    assert_eq!(read.encode(format).expect("it was written before"), written);
    read
}

#[test]
fn any_number_of_keys_that_is_written_can_be_read() {
    for keys in about(&[1, 16, 32, 64, 256, MAX_KEYS]) {
        for format in FORMATS {
            let own = value("ours", format);
            let mut payload = Payload::new();
            for key in 0..keys {
                payload.insert_value(&key.to_string(), value(&key, format));
            }
            for stored in FORMATS {
                for extra in [None, Some(("__session", &own))] {
                    if keys + usize::from(extra.is_some()) <= MAX_KEYS {
                        let read = survives(&payload, extra, stored);
                        survives(&read, None, format);
                    } else {
                        let refusal = payload.encode_with(extra, stored);
                        assert!(matches!(refusal, Err(Error::Encode { .. })), "{keys}");
                    }
                }
            }
        }
    }
}

/// A small payload is searched as it was loaded; a larger one, and one that changes, as a list.
#[test]
fn a_payload_holds_the_same_in_place_and_as_a_list() {
    for (keys, len) in [
        (0, 0),
        (1, 900),
        (1, 1100),
        (12, 20),
        (12, 200),
        (32, 9),
        (33, 9),
    ] {
        let mut payload = Payload::new();
        for key in 0..keys {
            let text = value(&"x".repeat(len), Format::MessagePack);
            payload.insert_value(&format!("key {key}"), text);
        }
        let in_place = survives(&payload, None, Format::MessagePack);
        assert_eq!(
            in_place.list.is_none(),
            keys <= 32 && keys * (len + 10) < 1024,
            "{keys} keys"
        );
        let mut list = in_place.clone();
        list.insert_value("new", value(&1, Format::MessagePack));
        for key in payload.keys().chain(["key", "key -1", ""]) {
            let expected = payload.value(key);
            assert_eq!(in_place.value(key), expected, "{key}");
            assert_eq!(list.value(key), expected, "{key}");
        }
        list.remove("new");
        assert!(list.keys().eq(in_place.keys()));
    }
}

#[test]
fn usual_and_long_values_are_encoded_alike() {
    for format in FORMATS {
        for len in about(&[1, 60, 64, 128]) {
            // In one piece and in many.
            let text = value(&"x".repeat(len), format);
            let list = value(&vec![7_u8; len], format);
            assert_eq!(text.decode::<String>().unwrap(), "x".repeat(len));
            assert_eq!(list.decode::<Vec<u8>>().unwrap(), vec![7; len]);
        }
    }
}

#[test]
fn keys_and_values_of_any_length_can_be_read_again() {
    for len in about(&[1, 16, 32, 256, 65_536]) {
        for format in FORMATS {
            let values = [
                value(&"x".repeat(len), format),
                value(&serde_bytes::Bytes::new(&vec![0xff; len]), format),
                value(&vec![len; len], format),
                value(
                    &(0..len)
                        .map(|key| (key.to_string(), key))
                        .collect::<BTreeMap<_, _>>(),
                    format,
                ),
            ];
            for value in values {
                let mut payload = Payload::new();
                payload.insert_value(&"é".repeat(len / 2), value.clone());
                payload.insert_value(&"k".repeat(len), value.clone());
                for stored in FORMATS {
                    survives(&payload, Some(("__session", &value)), stored);
                }
            }
        }
    }
}

#[test]
fn values_of_any_depth_that_are_written_can_be_read() {
    for format in FORMATS {
        for depth in about(&[1, MAX_DEPTH]) {
            let nest = (0..depth).fold(serde_json::Value::Null, |inner, _| vec![inner].into());
            let nest = Value::encode(&nest, format);
            assert_eq!(nest.is_ok(), depth <= MAX_DEPTH);
            let Ok(nest) = nest else { continue };
            let mut payload = Payload::new();
            payload.insert_value("nest", nest.clone());
            for stored in FORMATS {
                survives(&payload, Some(("__session", &nest)), stored);
            }
        }
    }
}

/// A list whose length is not known before its end.
struct Even(u32);

impl Serialize for Even {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.0).filter(|number| number % 2 == 0))
    }
}

#[derive(Serialize)]
enum Shape {
    Unit,
    Newtype(&'static str),
    Tuple(u8, Option<()>),
    Struct { ip: std::net::Ipv4Addr, on: bool },
}

#[derive(Serialize)]
struct All {
    shapes: [Shape; 4],
    unknown: (Even, Vec<Even>),
    unit: (char, Duration),
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u8>,
    /// Makes a map of this struct whose length is not known before its end.
    #[serde(flatten)]
    more: BTreeMap<String, f64>,
}

#[test]
fn every_shape_of_type_is_written_as_rmp_serde_writes_it() {
    for len in [0, 3, 40, 70_000] {
        let all = All {
            shapes: [
                Shape::Unit,
                Shape::Newtype("x"),
                Shape::Tuple(200, None),
                Shape::Struct {
                    ip: std::net::Ipv4Addr::LOCALHOST,
                    on: true,
                },
            ],
            unknown: (Even(len), vec![Even(2), Even(len)]),
            unit: ('é', Duration::from_millis(1500)),
            skipped: None,
            more: (0..len)
                .map(|key| (key.to_string(), f64::from(key)))
                .collect(),
        };
        let mut theirs = Vec::new();
        let serializer = rmp_serde::Serializer::new(&mut theirs);
        let mut serializer = serializer.with_struct_map().with_human_readable();
        all.serialize(&mut serializer).unwrap();
        let mut ours = Vec::new();
        msgpack::write(&mut ours, &all).unwrap();
        assert!(ours == theirs, "{len}");
    }
}

#[test]
fn no_text_passes_for_a_key_that_is_none() {
    let number = Payload::decode(&b"\x81\x01\x2a"[..], Format::MessagePack);
    assert_eq!(number.unwrap().unwrap().keys().count(), 0);
    // A text with the bytes under which the number 1 is stored.
    let text = Payload::decode(&b"\x81\xa2\xc1\x01\x2a"[..], Format::MessagePack);
    assert!(matches!(text, Err(Error::Corrupt { .. })));
}

/// Quoted once more in each map around it, the text would double forty times.
#[test]
fn maps_as_keys_of_maps_take_no_memory_as_json() {
    let bytes = [[0x81; 40].as_slice(), b"\xa1\"", &[1; 40]].concat();
    let value = Value::from_encoded(bytes, Format::MessagePack).unwrap();
    assert_eq!(value.to_json_lossy(), serde_json::Value::Null);
}
