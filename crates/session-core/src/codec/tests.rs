use super::*;

const NATIVE: Codec = Codec {
    form: Form::Native,
    format: Format::MessagePack,
    dated: true,
};
const FLASK: Codec = Codec {
    form: Form::Flask,
    format: Format::MessagePack,
    dated: false,
};

fn key(text: &str) -> StoreKey {
    StoreKey::from_stored(text)
}

fn content() -> Content {
    let mut content = Content {
        created_at: Some(from_millis(1_000_000)),
        idle: Some(Duration::from_secs(60)),
        owner: Some("alice".into()),
        lineage: Some(Lineage::random()),
        ..Content::default()
    };
    content
        .payload
        .insert_value("n", Value::encode(&1, Format::MessagePack).unwrap());
    content
}

#[test]
fn a_live_session_comes_back_as_it_was() {
    let bytes = NATIVE.live(&key("session:a"), &content()).unwrap();
    let Some(Stored::Live(back)) = NATIVE
        .decode(&key("session:a"), bytes, from_millis(0))
        .unwrap()
    else {
        panic!("a live session");
    };
    assert_eq!(back.created_at, content().created_at);
    assert_eq!(back.idle, content().idle);
    assert_eq!(back.owner.as_deref(), Some("alice"));
    assert_eq!(back.payload.get::<u8>("n").unwrap(), Some(1));
    assert!(!back.payload.contains(RESERVED));
}

#[test]
fn a_record_under_another_key_is_refused() {
    let bytes = NATIVE.live(&key("session:a"), &content()).unwrap();
    assert!(
        NATIVE
            .decode(&key("session:b"), bytes, from_millis(0))
            .is_err()
    );
}

#[test]
fn a_marker_ends_by_its_own_bytes() {
    let until = from_millis(5000);
    let bytes = NATIVE
        .retired(&key("session:a"), &content(), &key("session:b"), until)
        .unwrap();
    let stored = |now| {
        NATIVE
            .decode(&key("session:a"), bytes.clone(), from_millis(now))
            .unwrap()
    };
    assert!(matches!(stored(4999), Some(Stored::Retired(to)) if to == key("session:b")));
    assert!(stored(5000).is_none());
}

#[test]
fn what_is_not_ours_is_corrupt() {
    let flask = b"\x82\xaa_permanent\xc3\xa1a\xa1x".to_vec();
    assert!(
        NATIVE
            .decode(&key("session:a"), flask.clone(), from_millis(0))
            .is_err()
    );
    assert!(matches!(
        FLASK.decode(&key("session:a"), flask, from_millis(0)),
        Ok(Some(Stored::Live(_)))
    ));
    for bad in [&b"\x81"[..], b"\xff", b"garbage", b"\x81\xa9__session\xa1x"] {
        assert!(
            NATIVE
                .decode(&key("session:a"), bad.to_vec(), from_millis(0))
                .is_err(),
            "{bad:?}"
        );
    }
}

#[test]
fn flask_sees_nothing_of_ours_unless_it_is_used() {
    let mut plain = Content::default();
    plain
        .payload
        .insert_value("a", Value::encode("x", Format::MessagePack).unwrap());
    assert_eq!(
        FLASK.live(&key("session:a"), &plain).unwrap(),
        b"\x81\xa1a\xa1x"
    );
    assert_eq!(
        FLASK
            .ended(&key("session:a"), &plain, from_millis(0))
            .unwrap(),
        NIL
    );
}
