//! Typed values survive both formats, and are written as Flask would write them.

use std::{
    collections::BTreeMap,
    error::Error as _,
    fmt::Debug,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use session_core::{Dynamic, Error, Format, Payload, Timestamp, Value};

const FORMATS: [Format; 2] = [Format::MessagePack, Format::Json];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voucher: Option<String>,
    total: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item(String, u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Step {
    Start,
    Address(String),
    Pay { cents: i64, at: Timestamp },
    Pair(u8, f32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    A { ip: IpAddr },
    B { left: Duration },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

fn msgpack<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let value = Value::encode(value, Format::MessagePack).expect("the tests' types encode");
    value.as_bytes().to_vec()
}

/// Through each format, and through one into the other.
fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    for format in FORMATS {
        let mut payload = Payload::new();
        payload.insert_value("key", Value::encode(value, format).expect("it encodes"));
        for stored in FORMATS {
            let bytes = payload.encode(stored).expect("it fits either format");
            let loaded = Payload::decode(bytes, stored).expect("it is whole");
            let loaded = loaded.expect("it is a session").get("key");
            assert_eq!(
                loaded.expect("it decodes").as_ref(),
                Some(value),
                "{format}, {stored}"
            );
        }
    }
}

#[test]
fn every_shape_of_type_survives_in_either_format_and_from_one_to_the_other() {
    // A session keeps microseconds.
    let last = Timestamp::new(Timestamp::MAX.seconds(), 999_999_000).unwrap();
    survives(&true);
    survives(&'é');
    survives(&"text".to_owned());
    survives(&i64::MIN);
    survives(&u64::MAX);
    survives(&i128::from(i64::MIN));
    survives(&u128::from(u64::MAX));
    survives(&0.1_f32);
    survives(&1.0_f64);
    survives(&1e16_f64);
    survives(&Some(5_u8));
    survives(&None::<u8>);
    survives(&());
    survives(&vec![Some(1), None]);
    survives(&(1, "two".to_owned(), [3.0]));
    survives(&BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    survives(&Item("tea".into(), 2));
    survives(&Cart::default());
    survives(&Cart {
        items: vec![Item("tea".into(), 2)],
        voucher: Some("é".into()),
        total: 12.0,
    });
    survives(&Step::Start);
    survives(&Step::Address("x".into()));
    survives(&Step::Pay {
        cents: -1,
        at: last,
    });
    survives(&Step::Pair(1, 0.5));
    survives(&Tagged::A {
        ip: Ipv4Addr::LOCALHOST.into(),
    });
    survives(&Tagged::B {
        left: Duration::from_millis(1500),
    });
    survives(&Timestamp::MIN);
    survives(&vec![last; 2]);
}

#[test]
fn a_map_by_numbers_survives_in_either_format() {
    let map = BTreeMap::from([(1, "a".to_owned()), (-2, "b".to_owned())]);
    for format in FORMATS {
        let value = Value::encode(&map, format).unwrap();
        assert_eq!(value.decode::<BTreeMap<i32, String>>().unwrap(), map);
    }
}

#[test]
fn structs_are_maps_and_variants_name_themselves() {
    let cart = Cart {
        items: vec![Item("tea".into(), 2)],
        ..Cart::default()
    };
    assert_eq!(
        msgpack(&cart),
        b"\x82\xa5items\x91\x92\xa3tea\x02\xa5total\xcb\0\0\0\0\0\0\0\0"
    );
    assert_eq!(msgpack(&Step::Start), b"\xa5Start");
    assert_eq!(msgpack(&Step::Address("x".into())), b"\x81\xa7Address\xa1x");
    let ip = Tagged::A {
        ip: Ipv4Addr::LOCALHOST.into(),
    };
    assert_eq!(msgpack(&ip), b"\x82\xa4kind\xa1A\xa2ip\xa9127.0.0.1");
}

#[test]
fn integers_are_short_floats_long_and_bytes_stay_bytes() {
    assert_eq!(msgpack(&1_u64), b"\x01");
    assert_eq!(msgpack(&1_i128), b"\x01");
    assert_eq!(msgpack(&-33_i64), b"\xd0\xdf");
    assert_eq!(msgpack(&1.0_f32), b"\xcb\x3f\xf0\0\0\0\0\0\0");
    assert_eq!(msgpack(&[1.0_f32]), b"\x91\xcb\x3f\xf0\0\0\0\0\0\0");
    assert_eq!(
        msgpack(&Some(Step::Pair(1, 1.0)))[6..],
        *b"\x92\x01\xcb\x3f\xf0\0\0\0\0\0\0"
    );
    assert_eq!(msgpack(&ByteBuf::from([0, 0xff])), b"\xc4\x02\0\xff");
    assert_eq!(msgpack(&Unit), b"\x90");
    assert!(Value::encode(&i128::MAX, Format::MessagePack).is_err());
    assert!(Value::encode(&i128::MIN, Format::MessagePack).is_err());
}

#[test]
fn bytes_survive_and_become_base64_only_in_json() {
    let value = Value::encode(&ByteBuf::from([0, 0xff]), Format::MessagePack).unwrap();
    assert_eq!(value.decode::<ByteBuf>().unwrap(), [0, 0xff]);
    let mut payload = Payload::new();
    payload.insert_value("b", value);
    assert_eq!(payload.encode(Format::Json).unwrap(), br#"{"b":"AP8="}"#);
}

#[test]
fn a_wrong_type_is_an_error_that_quotes_nothing() {
    for format in FORMATS {
        let mut payload = Payload::new();
        payload.insert_value("card", Value::encode("4111-secret", format).unwrap());
        let refusal = payload.get::<u32>("card").unwrap_err();
        let source = refusal.source().unwrap().to_string();
        assert_eq!(source, "not a u32: expected u32, found text");
        assert!(matches!(refusal, Error::Decode { .. }));
        assert_eq!(payload.get::<u32>("none").unwrap(), None);
        for shown in [
            format!("{refusal:?}"),
            format!("{payload:?} {:?}", payload.value("card")),
        ] {
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}

#[test]
fn what_a_struct_misses_is_named() {
    let explain = |refusal: Error| refusal.source().expect("it has a cause").to_string();
    for format in FORMATS {
        let item = |json: serde_json::Value| Value::encode(&json, format).expect("it encodes");
        let cart = item(serde_json::json!({ "items": [["secret", 2]] }));
        let reason = explain(cart.decode::<Cart>().unwrap_err());
        assert!(
            reason.ends_with(r#"Cart: the field "total" is missing"#),
            "{reason}"
        );
        let cart = item(serde_json::json!({ "items": [["tea", "secret"]], "total": 1.0 }));
        let reason = explain(cart.decode::<Cart>().unwrap_err());
        assert!(
            reason.ends_with("Cart: expected u32, found text"),
            "{reason}"
        );
        let reason = explain(item("secret".into()).decode::<Step>().unwrap_err());
        assert!(reason.contains("none of [\"Start\","), "{reason}");
        let reason = explain(item((-1).into()).decode::<u8>().unwrap_err());
        assert_eq!(
            reason,
            "not a u8: expected u8, found an integer that is not"
        );
        let reason = explain(item("secret".into()).decode::<Timestamp>().unwrap_err());
        assert!(
            reason.ends_with("Timestamp: the type does not accept it"),
            "{reason}"
        );
    }
}

#[test]
fn entries_keep_the_order_of_their_insertion() {
    let value = |n: u8| Value::encode(&n, Format::MessagePack).expect("a number encodes");
    let mut payload = Payload::new();
    for (place, key) in ["c", "a", "b"].into_iter().enumerate() {
        payload.insert_value(key, value(u8::try_from(place).unwrap()));
    }
    payload.insert_value("c", value(9));
    assert!(payload.keys().eq(["c", "a", "b"]));
    assert_eq!(payload.remove("a"), Some(value(1)));
    assert_eq!(payload.remove("a"), None);
    payload.insert_value("a", value(1));
    assert!(payload.keys().eq(["c", "b", "a"]));
    assert!(payload.contains("b") && !payload.contains("d"));
    assert_eq!(payload.len(), 3);
    let copy = payload.clone();
    payload.clear();
    assert!(payload.is_empty() && !copy.is_empty());
    assert_eq!(payload.encode(Format::MessagePack).unwrap(), b"\x80");
    assert_eq!(payload.encode(Format::Json).unwrap(), b"{}");
}

#[test]
fn any_value_can_be_shown_as_json() {
    let value = Dynamic::Map(vec![
        (Dynamic::Int(1), Dynamic::Bytes(vec![0, 0xff])),
        (Dynamic::Nil, Dynamic::Timestamp(Timestamp::MIN)),
        (Dynamic::Text("x".into()), Dynamic::Ext(5, vec![])),
        (
            Dynamic::Text("y".into()),
            Dynamic::Array(vec![Dynamic::Float(f64::NAN), Dynamic::UInt(u64::MAX)]),
        ),
    ]);
    let value = value.to_value(Format::MessagePack).unwrap();
    let text =
        r#"{"1":"AP8=","null":"0001-01-01T00:00:00Z","x":null,"y":[null,18446744073709551615]}"#;
    assert_eq!(value.to_json_lossy().to_string(), text);
    let big = Value::from_encoded(&b"-123456789012345678901"[..], Format::Json).unwrap();
    assert_eq!(big.to_json_lossy(), "-123456789012345678901");
    let damaged = Value::from_encoded(&b"\xa1\xff"[..], Format::MessagePack).unwrap();
    assert!(damaged.to_json_lossy().is_null());
    assert!(matches!(damaged.to_dynamic(), Err(Error::Decode { .. })));
}

#[test]
fn a_big_integer_is_written_only_if_it_is_one() {
    for digits in ["", "-", "01", "1.0", "1e3", "x", "1,2", "+1"] {
        assert!(
            Dynamic::BigInt(digits.into())
                .to_value(Format::Json)
                .is_err(),
            "{digits}"
        );
    }
}

#[test]
fn payloads_and_values_may_cross_threads() {
    fn check<T: Send + Sync + Clone>() {}
    check::<Payload>();
    check::<Value>();
}
