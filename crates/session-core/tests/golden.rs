//! Bytes that Flask-Session wrote are read, and written again without a difference.

use std::sync::LazyLock;

use serde::Deserialize;
use session_core::{Dynamic, Format, Payload, Value};

#[derive(Deserialize)]
struct Golden {
    values: Vec<Vector>,
    sessions: Vec<Vector>,
}

/// The same thing in both formats, or in the one that has a form for it.
#[derive(Deserialize)]
struct Vector {
    name: String,
    msgpack: Option<String>,
    json: Option<String>,
}

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| {
    serde_json::from_str(include_str!("golden_payload.json")).expect("the vectors are JSON")
});

/// What JSON has no type for and so cannot give back.
const TEXT_IN_JSON: [&str; 6] = [
    "datetime",
    "bytes",
    "not a number",
    "infinity",
    "keys of",
    "every type",
];

impl Vector {
    fn msgpack(&self) -> Option<Vec<u8>> {
        self.msgpack.as_deref().map(unhex)
    }

    fn json(&self) -> Option<Vec<u8>> {
        self.json.as_ref().map(|text| text.clone().into_bytes())
    }

    fn survives_json(&self) -> bool {
        !TEXT_IN_JSON.iter().any(|kind| self.name.contains(kind))
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("hexadecimal is ASCII");
            u8::from_str_radix(pair, 16).expect("the vectors are hexadecimal")
        })
        .collect()
}

fn dynamic(bytes: Vec<u8>, format: Format) -> Dynamic {
    let value = Value::from_encoded(bytes, format).expect("every vector is one value");
    value.to_dynamic().expect("every vector can be taken apart")
}

#[test]
fn every_value_taken_apart_is_written_as_flask_writes_it() {
    for vector in &GOLDEN.values {
        for (bytes, format) in [
            (vector.msgpack(), Format::MessagePack),
            (vector.json(), Format::Json),
        ] {
            let Some(bytes) = bytes else { continue };
            let value = dynamic(bytes.clone(), format).to_value(format).unwrap();
            assert_eq!(value.as_bytes(), bytes, "{} in {format}", vector.name);
        }
    }
}

#[test]
fn every_value_turns_from_messagepack_into_the_json_that_flask_writes() {
    for vector in &GOLDEN.values {
        // Flask's JSON keeps the offset, its MessagePack does not.
        let (Some(msgpack), false) = (vector.msgpack(), vector.name.contains("offset")) else {
            continue;
        };
        let json = dynamic(msgpack, Format::MessagePack).to_value(Format::Json);
        match vector.json() {
            Some(text) => assert_eq!(json.unwrap().as_bytes(), text, "{}", vector.name),
            None => assert!(json.is_err(), "{}", vector.name),
        }
    }
}

#[test]
fn every_value_that_json_has_a_type_for_turns_back_into_messagepack() {
    for vector in GOLDEN.values.iter().filter(|vector| vector.survives_json()) {
        let Some(json) = vector.json() else { continue };
        let msgpack = dynamic(json, Format::Json).to_value(Format::MessagePack);
        match vector.msgpack() {
            Some(bytes) => assert_eq!(msgpack.unwrap().as_bytes(), bytes, "{}", vector.name),
            None => assert!(msgpack.is_err(), "{}", vector.name),
        }
    }
}

#[test]
fn every_session_is_written_as_it_was_read_in_either_format() {
    for vector in &GOLDEN.sessions {
        for (bytes, format) in [
            (vector.msgpack().unwrap(), Format::MessagePack),
            (vector.json().unwrap(), Format::Json),
        ] {
            for configured in [Format::MessagePack, Format::Json] {
                let payload = Payload::decode(bytes.clone(), configured).unwrap().unwrap();
                let written = payload.encode(format).unwrap();
                assert_eq!(written, bytes, "{} in {format}", vector.name);
            }
        }
    }
}

#[test]
fn a_session_is_read_in_one_format_and_written_in_the_other() {
    for vector in &GOLDEN.sessions {
        let (msgpack, json) = (vector.msgpack().unwrap(), vector.json().unwrap());
        let payload = Payload::decode(msgpack.clone(), Format::Json)
            .unwrap()
            .unwrap();
        assert_eq!(
            payload.encode(Format::Json).unwrap(),
            json,
            "{}",
            vector.name
        );
        if vector.survives_json() {
            let payload = Payload::decode(json, Format::MessagePack).unwrap().unwrap();
            assert_eq!(
                payload.encode(Format::MessagePack).unwrap(),
                msgpack,
                "{}",
                vector.name
            );
        }
    }
}
