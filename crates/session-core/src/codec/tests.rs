//! Tests of encoding and decoding native records.

use std::time::Duration;

use super::*;
use crate::payload::Value;

const TAG: [u8; 8] = [7; 8];

fn key(end: char) -> StoreKey {
    StoreKey::from_stored(format!("session:{}{end}", "0".repeat(63)))
}

fn content() -> Content {
    let mut content = Content {
        created_at: Some(Millis::new(1_000_000)),
        idle: Some(Duration::from_secs(60)),
        owner: Some("alice".into()),
        label: Some("a phone".into()),
        lineage: Some([9; 16]),
        ..Content::default()
    };
    content
        .payload
        .insert_value("n", Value::encode(&1, Format::MessagePack).unwrap());
    content
}

#[test]
fn a_live_session_comes_back_as_it_was() {
    let times = Times {
        expires_at: Some(Millis::new(5)),
        used_at: Some(Millis::new(4)),
        cookie_until: Some(Millis::new(3)),
        indexed_until: None,
        provisional: true,
        id_use: Some(IdUse::NotYet),
    };
    let bytes = live(&key('a'), &content(), &times, TAG, None, None)
        .unwrap()
        .0;
    let Stored::Live(back, back_times, _) = decode(&key('a'), &bytes, None).unwrap() else {
        panic!("a live session");
    };
    assert_eq!(back_times, times);
    assert_eq!(back.created_at, content().created_at);
    assert_eq!(back.idle, content().idle);
    assert_eq!(back.lineage, content().lineage);
    assert_eq!(back.owner.as_deref(), Some("alice"));
    assert_eq!(back.label.as_deref(), Some("a phone"));
    assert_eq!(back.payload.get::<u8>("n").unwrap(), Some(1));
}

#[test]
fn a_record_under_another_key_is_refused() {
    let bytes = live(&key('a'), &content(), &Times::default(), TAG, None, None)
        .unwrap()
        .0;
    assert!(decode(&key('b'), &bytes, None).is_err());
}

#[test]
fn a_tombstone_names_its_successor_and_keeps_its_owner() {
    let until = Millis::new(5000);
    let b = key('b');
    let plain = Successor {
        key: &b,
        rotation: None,
    };
    let forwarded = tombstone(&key('a'), &content(), Some(&plain), until, TAG);
    assert!(Header::parse(&forwarded).unwrap().0.owner == Some("alice"));
    assert!(matches!(
        decode(&key('a'), &forwarded, None).unwrap(),
        Stored::Forwarded(it) if it.successor == b && it.until == until && it.rotation.is_none()
    ));
    let used = Some(IdUse::Since(until));
    let rotated = Successor {
        key: &b,
        rotation: Some((Nonce::of([9; 32]), used)),
    };
    let forwarded = tombstone(&key('a'), &content(), Some(&rotated), until, TAG);
    let Stored::Forwarded(Forwarding {
        successor,
        rotation: Some(rotation),
        ..
    }) = decode(&key('a'), &forwarded, None).unwrap()
    else {
        panic!("the tombstone of a rotation");
    };
    assert_eq!((successor, rotation.nonce), (b, Nonce::of([9; 32])));
    assert_eq!(rotation.owner.as_deref(), Some("alice"));
    assert_eq!(Some(rotation.lineage), content().lineage);
    assert_eq!(rotation.id_use, used);
    let ended = tombstone(&key('a'), &content(), None, until, TAG);
    assert!(matches!(
        decode(&key('a'), &ended, None).unwrap(),
        Stored::Ended(dead)
            if dead.owner.as_deref() == Some("alice") && Some(dead.lineage) == content().lineage
    ));
}

#[test]
fn what_is_not_ours_is_corrupt() {
    let flask = b"\x82\xaa_permanent\xc3\xa1a\xa1x";
    for bad in [&flask[..], b"\x81", b"\xff", b"garbage"] {
        assert!(
            decode(&key('a'), &Bytes::from_static(bad), None).is_err(),
            "{bad:?}"
        );
    }
}

#[test]
fn the_example_in_the_formats_page_is_what_is_written() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../FORMAT.md");
    let page = std::fs::read_to_string(path).expect("FORMAT.md can be read");
    let (_, example) = page.rsplit_once("```text\n").expect("it has an example");
    let (example, _) = example.split_once("```").expect("the example ends");
    let bytes: Vec<u8> = example
        .lines()
        .flat_map(|line| line[6..].split(' '))
        .map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal digits"))
        .collect();

    let key = StoreKey::from_stored(
        "session:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    );
    let start = Millis::new(1_800_000_000_000);
    let end = start.after(Duration::from_secs(900));
    let mut content = Content {
        created_at: Some(start),
        authenticated_at: Some(start),
        owner: Some("ada".into()),
        lineage: Some(std::array::from_fn(|at| {
            16 + u8::try_from(at).expect("a small number")
        })),
        ..Content::default()
    };
    let three = Value::encode(&3, Format::MessagePack).unwrap();
    content.payload.insert_value("visits", three);
    let times = Times {
        expires_at: Some(end),
        used_at: Some(start),
        cookie_until: Some(end),
        indexed_until: Some(start.after(Duration::from_secs(1950))),
        provisional: false,
        id_use: None,
    };
    let tag = [1, 2, 3, 4, 5, 6, 7, 8];
    let written = live(&key, &content, &times, tag, None, None).unwrap().0;
    assert_eq!(written, bytes);
}
