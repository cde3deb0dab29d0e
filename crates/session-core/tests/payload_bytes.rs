//! Unchanged values are written back byte for byte.

use proptest::prelude::*;
use session_core::{Format, Payload, Value};

fn decode(bytes: &[u8], format: Format) -> Payload {
    let payload = Payload::decode(bytes.to_vec(), format).expect("the session is whole");
    payload.expect("it is a session")
}

/// One value of `MessagePack`, of any form that the format allows, the shortest or not.
fn any_form() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |len| proptest::collection::vec(any::<u8>(), len);
    let leaf = prop_oneof![
        (0_u8..=0x7f).prop_map(|marker| vec![marker]),
        (0xe0_u8..=0xff).prop_map(|marker| vec![marker]),
        prop_oneof![Just(0xc0), Just(0xc2), Just(0xc3)].prop_map(|marker| vec![marker]),
        fixed(0xca, bytes(4)),
        fixed(0xcb, bytes(8)),
        fixed(0xcc, bytes(1)),
        fixed(0xcd, bytes(2)),
        fixed(0xce, bytes(4)),
        fixed(0xcf, bytes(8)),
        fixed(0xd0, bytes(1)),
        fixed(0xd1, bytes(2)),
        fixed(0xd2, bytes(4)),
        fixed(0xd3, bytes(8)),
        fixed(0xd4, bytes(2)),
        fixed(0xd8, bytes(17)),
        "[a-zé]{0,20}".prop_flat_map(|text| any_head([0xd9, 0xda, 0xdb], text.len(), text.into())),
        proptest::collection::vec(any::<u8>(), 0..20).prop_flat_map(|body| any_head(
            [0xc4, 0xc5, 0xc6],
            body.len(),
            body
        )),
        proptest::collection::vec(any::<u8>(), 0..20).prop_flat_map(|body| any_head(
            [0xc7, 0xc8, 0xc9],
            body.len(),
            [vec![5], body].concat()
        )),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let items = proptest::collection::vec(inner, 0..6);
        let list = items.clone().prop_flat_map(|items| {
            let len = items.len();
            prop_oneof![
                Just(container(&[0x90 | small(len)], &items)),
                Just(container(&[0xdc, 0, small(len)], &items)),
                Just(container(&[0xdd, 0, 0, 0, small(len)], &items)),
            ]
        });
        let map = items.prop_flat_map(|mut items| {
            items.truncate(items.len() / 2 * 2);
            let len = items.len() / 2;
            prop_oneof![
                Just(container(&[0x80 | small(len)], &items)),
                Just(container(&[0xde, 0, small(len)], &items)),
                Just(container(&[0xdf, 0, 0, 0, small(len)], &items)),
            ]
        });
        prop_oneof![list, map]
    })
}

fn fixed(marker: u8, body: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    body.prop_map(move |body| [vec![marker], body].concat())
}

/// `body` behind a head with a length of one, two or four bytes.
fn any_head(markers: [u8; 3], len: usize, body: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let len = small(len);
    let heads = [
        vec![markers[0], len],
        vec![markers[1], 0, len],
        vec![markers[2], 0, 0, 0, len],
    ];
    proptest::sample::select(heads.to_vec()).prop_map(move |head| [head, body.clone()].concat())
}

fn small(len: usize) -> u8 {
    u8::try_from(len).expect("the lists here are short")
}

fn container(head: &[u8], items: &[Vec<u8>]) -> Vec<u8> {
    [head, &items.concat()].concat()
}

fn text_key(key: usize) -> Vec<u8> {
    let key = format!("k{key}");
    [&[0xa0 | small(key.len())], key.as_bytes()].concat()
}

proptest! {
    #[test]
    fn values_of_every_form_survive(values in proptest::collection::vec(any_form(), 0..15)) {
        let pairs: Vec<_> = values.iter().enumerate().map(|(key, value)| container(&text_key(key), std::slice::from_ref(value))).collect();
        let bytes = container(&[0x80 | small(values.len())], &pairs);
        let mut payload = decode(&bytes, Format::MessagePack);
        prop_assert_eq!(payload.encode(Format::MessagePack).unwrap(), &bytes[..]);
        for (key, value) in values.iter().enumerate() {
            let held = payload.value(&format!("k{key}")).unwrap();
            prop_assert_eq!(held.as_bytes(), &value[..]);
        }
        // A change of one key leaves the others as they were.
        payload.insert_value("k0", Value::encode(&true, Format::MessagePack).unwrap());
        let changed = decode(&payload.encode(Format::MessagePack).unwrap(), Format::MessagePack);
        for (key, value) in values.iter().enumerate().skip(1) {
            let held = changed.value(&format!("k{key}")).unwrap();
            prop_assert_eq!(held.as_bytes(), &value[..]);
        }
    }

    #[test]
    fn keys_of_every_form_survive(keys in proptest::collection::hash_set(any_form(), 0..8)) {
        let keys: Vec<_> = keys.into_iter().filter(|key| !is_text(key)).collect();
        let pairs: Vec<_> = keys.iter().map(|key| [&key[..], &[0x2a]].concat()).collect();
        let bytes = container(&[0x80 | small(keys.len())], &pairs);
        let payload = decode(&bytes, Format::MessagePack);
        prop_assert_eq!(payload.len(), keys.len());
        prop_assert_eq!(payload.keys().count(), 0);
        prop_assert_eq!(payload.encode(Format::MessagePack).unwrap(), bytes);
    }

    #[test]
    fn json_values_survive_with_their_blanks(values in proptest::collection::vec(r#"(-?[1-9][0-9]{0,40}|[0-9]\.[0-9]{1,30}(e-?[0-9])?|\[ *1 *, *"\\u0041\\/" *\]|\{ *"b" *: *\{\} *, *"b":1\})"#, 0..10)) {
        let pairs: Vec<_> = values.iter().enumerate().map(|(key, value)| format!("\"k{key}\":{value}")).collect();
        let text = format!("{{{}}}", pairs.join(","));
        let blanks = format!(" {{\n{} }}\n", pairs.join(" ,\t"));
        for read in [&text, &blanks] {
            let payload = decode(read.as_bytes(), Format::Json);
            prop_assert_eq!(payload.encode(Format::Json).unwrap(), text.as_bytes());
        }
    }
}

fn is_text(key: &[u8]) -> bool {
    matches!(key[0], 0xa0..=0xbf | 0xd9..=0xdb)
}

#[test]
fn an_extension_that_nobody_knows_survives() {
    // {"a": extension 5 of three bytes, "b": 1}
    let bytes = b"\x82\xa1a\xc7\x03\x05\x01\x02\x03\xa1b\x01";
    let mut payload = decode(bytes, Format::MessagePack);
    payload.insert_value("b", Value::encode(&2, Format::MessagePack).unwrap());
    let written = payload.encode(Format::MessagePack).unwrap();
    assert_eq!(written, b"\x82\xa1a\xc7\x03\x05\x01\x02\x03\xa1b\x02");
}

#[test]
fn an_integer_of_31_digits_survives_in_json_and_names_its_key_elsewhere() {
    let text = br#"{"n":1000000000000000000000000000000,"a":1}"#;
    let payload = decode(text, Format::Json);
    assert_eq!(payload.encode(Format::Json).unwrap(), text);
    let refusal = payload.encode(Format::MessagePack).unwrap_err();
    let source = std::error::Error::source(&refusal).unwrap().to_string();
    assert!(source.contains(r#""n""#), "{source}");
}

#[test]
fn of_a_key_that_comes_twice_the_last_value_counts_at_the_first_place() {
    for (bytes, format) in [
        (&b"\x83\xa1a\x01\xa1b\x02\xa1a\x03"[..], Format::MessagePack),
        (br#"{"a":1,"b":2,"\u0061":3}"#, Format::Json),
    ] {
        let payload = decode(bytes, format);
        assert!(payload.keys().eq(["a", "b"]));
        assert_eq!(payload.get::<u8>("a").unwrap(), Some(3));
    }
}

#[test]
fn of_many_keys_that_come_twice_the_last_values_count() {
    let pairs = |range: std::ops::Range<usize>, value: u8| -> Vec<u8> {
        range
            .flat_map(|key| [text_key(key), vec![value]].concat())
            .collect()
    };
    let bytes = [&b"\xde\x00\xc8"[..], &pairs(0..100, 1), &pairs(0..100, 2)].concat();
    let payload = decode(&bytes, Format::MessagePack);
    assert_eq!(
        payload.encode(Format::MessagePack).unwrap(),
        [&b"\xde\x00\x64"[..], &pairs(0..100, 2)].concat()
    );
}

#[test]
fn a_key_with_a_longer_head_than_needed_is_the_same_key() {
    let payload = decode(
        b"\x82\xd9\x01a\x01\xdb\x00\x00\x00\x01a\x02",
        Format::MessagePack,
    );
    assert_eq!(
        payload.encode(Format::MessagePack).unwrap(),
        b"\x81\xa1a\x02"
    );
}

#[test]
fn a_text_and_a_number_of_the_same_bytes_are_two_keys() {
    // The text U+0001 and the integer 1, alone and behind many others.
    let both = b"\xa1\x01\xc2\x01\xc3";
    for others in [0, 100] {
        let fill: Vec<u8> = (0..others)
            .flat_map(|key| [text_key(key), vec![0]].concat())
            .collect();
        let bytes = [&[0xde, 0, small(others + 2)][..], &fill, both].concat();
        let payload = decode(&bytes, Format::MessagePack);
        assert_eq!(payload.len(), others + 2);
        assert_eq!(payload.get::<bool>("\u{1}").unwrap(), Some(false));
        let written = payload.encode(Format::MessagePack).unwrap();
        assert!(written.ends_with(both));
    }
}
