//! Malformed and malicious payloads are refused, quickly and without harm.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use session_core::{Dynamic, Error, Format, Payload, Value};

const FORMATS: [Format; 2] = [Format::MessagePack, Format::Json];

fn refused(bytes: &[u8]) -> bool {
    FORMATS.into_iter().all(|configured| {
        let started = Instant::now();
        let answer = Payload::decode(bytes.to_vec(), configured);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(1), "late: {took:?}");
        matches!(answer, Err(Error::Corrupt { .. }))
    })
}

/// A session of one key whose value is `depth` lists around a scalar.
fn nested(depth: usize, format: Format) -> Vec<u8> {
    match format {
        Format::MessagePack => [&b"\x81\xa1a"[..], &vec![0x91; depth], b"\xc0"].concat(),
        Format::Json => {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!("{{\"a\":{open}null{close}}}").into_bytes()
        }
    }
}

#[test]
fn nothing_nil_and_null_are_no_session() {
    for bytes in [&b""[..], b"\xc0", b"null", b" null\n"] {
        for configured in FORMATS {
            assert!(Payload::decode(bytes, configured).unwrap().is_none());
        }
    }
}

#[test]
fn what_is_not_one_whole_map_is_refused() {
    let cases: [&[u8]; 20] = [
        b"\x01",
        b"\x90",
        b"\xa1a",
        b"\xc1",
        b"\x80\x80",
        b"\xc0\xc0",
        b"\x80\x04\x95.",
        b" ",
        b"[]",
        b"\"a\"",
        b"nul",
        b"{} {}",
        b"{}\x80",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{\"a\":nan}",
        b"{a:1}",
        b"{1:1}",
        b"{\"\\ud800\":1}",
        b"{\"a\":\"\xff\"}",
    ];
    for bytes in cases {
        assert!(refused(bytes), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_key_that_is_not_utf_8_is_refused() {
    assert!(refused(b"\x81\xa1\xff\x01"));
    assert!(refused(b"{\"\xff\":1}"));
}

#[test]
fn a_session_cut_off_anywhere_is_refused() {
    let value = Dynamic::Array(vec![
        Dynamic::Nil,
        Dynamic::Int(-1_000_000),
        Dynamic::UInt(u64::MAX),
        Dynamic::Float(0.1),
        Dynamic::Text("x".repeat(300)),
        Dynamic::Bytes(vec![0; 70_000]),
        Dynamic::Ext(5, vec![1; 5]),
        Dynamic::Map(vec![(Dynamic::Int(1), Dynamic::Bool(true))]),
    ]);
    let mut payload = Payload::new();
    payload.insert_value("before", Value::encode("é", Format::MessagePack).unwrap());
    payload.insert_value("all", value.to_value(Format::MessagePack).unwrap());
    let msgpack = payload.encode(Format::MessagePack).unwrap();
    for end in 1..msgpack.len() {
        assert!(
            Payload::decode(msgpack[..end].to_vec(), Format::MessagePack).is_err(),
            "{end}"
        );
    }

    let json = br#"{"a":[1,{"b":"\"}"}],"c":-1.5e3,"d":null}"#;
    for end in 1..json.len() {
        assert!(refused(&json[..end]), "{end}");
    }
}

#[test]
fn values_may_nest_64_deep_and_no_deeper() {
    for format in FORMATS {
        let payload = Payload::decode(nested(64, format), format)
            .unwrap()
            .unwrap();
        let value = payload.value("a").unwrap();
        value.to_dynamic().unwrap();
        value.decode::<serde::de::IgnoredAny>().unwrap();
        for other in FORMATS {
            assert_eq!(payload.encode(other).unwrap(), nested(64, other));
        }
        assert!(refused(&nested(65, format)), "{format}");
    }
    let innermost_empty =
        |depth: usize| [&b"\x81\xa1a"[..], &vec![0x91; depth - 1], b"\x90"].concat();
    assert!(!refused(&innermost_empty(64)));
    assert!(refused(&innermost_empty(65)));
    let as_key = |depth| [&b"\x81"[..], &vec![0x91; depth], b"\xc0\x01"].concat();
    assert!(!refused(&as_key(64)));
    assert!(refused(&as_key(65)));
}

#[test]
fn a_type_that_nests_deeper_is_refused_before_it_is_stored() {
    #[derive(serde::Serialize)]
    struct Nest(Option<Box<[Nest; 1]>>);

    let nest = |depth| (0..depth).fold(Nest(None), |inner, _| Nest(Some(Box::new([inner]))));
    for format in FORMATS {
        assert!(Value::encode(&nest(64), format).is_ok());
        let refusal = Value::encode(&nest(65), format).unwrap_err();
        assert!(matches!(refusal, Error::Encode { .. }));

        let nest = (0..65).fold(Dynamic::Nil, |inner, _| Dynamic::Array(vec![inner]));
        assert!(matches!(nest.to_value(format), Err(Error::Encode { .. })));
    }
}

#[test]
fn tens_of_thousands_of_open_lists_are_refused_at_once() {
    for depth in [65_536, 1 << 20] {
        assert!(refused(&vec![0x91; depth]));
        assert!(refused(&vec![b'['; depth]));
        assert!(refused(&nested(depth, Format::MessagePack)));
        assert!(refused(&nested(depth, Format::Json)));
        assert!(refused(&[&b"{\"a\":"[..], &vec![b'['; depth]].concat()));
        assert!(refused(&b"{\"a\":".repeat(depth)));
        assert!(refused(&b"\x81\xa1a".repeat(depth)));
    }
}

#[test]
fn a_length_beyond_the_end_is_refused_at_once() {
    for marker in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
        let huge = [marker, 0xff, 0xff, 0xff, 0xff];
        assert!(refused(&huge));
        assert!(
            refused(&[&b"\x81\xa1a"[..], &huge].concat()),
            "value {marker:x}"
        );
        assert!(refused(&[&b"\x81"[..], &huge].concat()), "key {marker:x}");
        assert!(
            refused(&[&b"\x81\xa1a"[..], &huge, &[0; 4096]].concat()),
            "{marker:x}"
        );
    }
}

#[test]
fn a_session_has_at_most_16384_keys() {
    let json = |len: usize| {
        let pairs: Vec<_> = (0..len).map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", pairs.join(",")).into_bytes()
    };
    let mut payload = Payload::decode(json(16_384), Format::Json)
        .unwrap()
        .unwrap();
    assert_eq!(payload.len(), 16_384);
    let msgpack = payload.encode(Format::MessagePack).unwrap();
    let again = Payload::decode(msgpack, Format::MessagePack)
        .unwrap()
        .unwrap();
    assert_eq!(again.encode(Format::Json).unwrap(), json(16_384));

    assert!(refused(&json(16_385)));
    let msgpack = [&b"\xde\x40\x01"[..], &b"\x01\x01".repeat(16_385)].concat();
    assert!(refused(&msgpack));

    payload.insert_value("one more", Value::encode(&0, Format::Json).unwrap());
    for format in FORMATS {
        assert!(matches!(payload.encode(format), Err(Error::Encode { .. })));
    }
}

/// How long `len` inserts, replacements, look-ups, removals from the front, and inserts again take.
fn changes(len: usize) -> Duration {
    let keys: Vec<_> = (0..len).map(|key| key.to_string()).collect();
    let value = Value::encode(&0, Format::MessagePack).expect("a number encodes");
    let mut payload = Payload::new();
    let started = Instant::now();
    for round in 0..2 {
        for key in &keys {
            payload.insert_value(key, value.clone());
        }
        assert_eq!(payload.len(), len);
        for key in keys.iter().filter(|_| round == 0) {
            payload.insert_value(key, value.clone());
            assert!(payload.contains(key));
            assert!(payload.remove(key).is_some());
        }
    }
    let took = started.elapsed();
    assert!(payload.keys().eq(&keys));
    took
}

#[test]
fn the_cost_of_a_change_does_not_grow_with_the_number_of_keys() {
    // For 32 times as many keys 32 times as long; if each change searched all keys, 1,024 times.
    // Other programs may slow down some attempts.
    let fastest = |keys| {
        (0..25)
            .map(|_| changes(keys))
            .min()
            .expect("there are attempts")
    };
    let (few, many) = (fastest(512), fastest(16_384));
    assert!(many < few * 128, "512 keys take {few:?}, 16,384 {many:?}");
}

#[test]
fn a_value_is_taken_only_if_it_is_one_and_whole() {
    for (bytes, format) in [
        (&b""[..], Format::MessagePack),
        (b"\x01\x01", Format::MessagePack),
        (b"\x91", Format::MessagePack),
        (b"\xc1", Format::MessagePack),
        (b"", Format::Json),
        (b"1 ", Format::Json),
        (b" 1", Format::Json),
        (b"1,2", Format::Json),
        (b"x", Format::Json),
    ] {
        let answer = Value::from_encoded(bytes, format);
        assert!(
            matches!(answer, Err(Error::Corrupt { .. })),
            "{}",
            bytes.escape_ascii()
        );
    }
}

fn exercise(bytes: &[u8]) {
    for configured in FORMATS {
        let Ok(Some(payload)) = Payload::decode(bytes.to_vec(), configured) else {
            continue;
        };
        for format in FORMATS {
            if let Ok(written) = payload.encode(format) {
                let again = Payload::decode(written.clone(), format).expect("it was written");
                let again = again.expect("a map is a session");
                assert_eq!(
                    again.encode(format).expect("it was written before"),
                    written
                );
            }
        }
        for key in payload.keys() {
            let value = payload.value(key).expect("every key has a value");
            let _ = value.decode::<String>();
            let _ = value.decode::<session_core::Timestamp>();
            let _ = value.decode::<serde::de::IgnoredAny>();
            let _ = value.to_json_lossy();
            let _ = value.to_dynamic();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        exercise(&bytes);
    }

    #[test]
    fn random_entries_do_no_harm(len in 0_u8..16, bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        exercise(&[&[0x80 | len][..], &bytes].concat());
    }

    #[test]
    fn random_json_does_no_harm(text in r#"\{("[a-c]{0,2}(\\u00e9)?":([0-9]{1,30}|\[[0-9,]{0,3}\]|"[a-zé\\]*"|null|true|\{\}),?){0,5}\}"#) {
        exercise(text.as_bytes());
    }
}
