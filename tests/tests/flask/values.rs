//! Values of every type, for both applications.

use serde_json::{Value, json};

use crate::neighbours::{Neighbours, Side};

/// Key, text and type.
const VALUES: &[(&str, &str, &str)] = &[
    ("text", "é 😀 \" \\ \n", "str"),
    ("empty", "", "str"),
    ("long", "x*300", "repeat"),
    ("small", "127", "int"),
    ("negative", "-33", "int"),
    ("exact", "9007199254740991", "int"),
    ("beyond", "9007199254740992", "int"),
    ("least", "-9223372036854775808", "int"),
    ("most", "18446744073709551615", "int"),
    ("half", "0.5", "float"),
    ("whole", "1.0", "float"),
    ("tiny", "1e-7", "float"),
    ("huge", "1e16", "float"),
    ("minus_zero", "-0.0", "float"),
    ("yes", "true", "bool"),
    ("no", "false", "bool"),
    ("nothing", "", "none"),
    (
        "nested",
        r#"{"z": [1, 2.0, {"é": null}], "a": {}, "n": -1}"#,
        "json",
    ),
];

/// What Python's own JSON, and so cachelib's files, cannot hold.
const TYPED: &[(&str, &str, &str)] = &[
    ("bytes", "00ff", "bytes"),
    ("no_bytes", "", "bytes"),
    ("instant", "2024-02-29T12:34:56.123456+00:00", "datetime"),
    ("second", "2024-01-02T03:04:05+00:00", "datetime"),
    (
        "half_a_second",
        "2024-01-02T03:04:05.500000+00:00",
        "datetime",
    ),
    ("elsewhere", "2024-01-02T05:04:05+02:00", "datetime"),
    ("early", "1969-12-31T23:59:59+00:00", "datetime"),
    ("local", "2024-01-02T03:04:05", "datetime"),
];

pub(crate) async fn every_type_set_by_one_is_read_by_the_other(both: &Neighbours) {
    let typed = if both.store.takes_bytes() { TYPED } else { &[] };
    let all: Vec<_> = VALUES.iter().chain(typed).collect();
    let mut records = Vec::new();
    let mut states = Vec::new();
    for side in Side::BOTH {
        let mut visitor = both.visitor();
        let answer = visitor.post(side, "/setmany", json!(all).to_string()).await;
        assert_eq!(answer.status, 200, "{}", both.output(side));
        let set = answer.json();
        assert_eq!(set["session"].as_object().unwrap().len(), all.len() + 1);
        assert_eq!(set["sid"], visitor.sid());
        for reader in Side::BOTH {
            let read = visitor.state(reader).await;
            assert_eq!(read, set, "set by {side:?}, read by {reader:?}");
        }
        records.push(both.record(visitor.sid()).await.unwrap());
        states.push(set["session"].clone());
    }
    assert_eq!(states[0], states[1]);
    assert_eq!(records[0].payload, records[1].payload);

    let mut visitor = both.visitor();
    for (turn, (key, text, kind)) in all.iter().enumerate() {
        let side = Side::BOTH[turn % 2];
        let body = json!([[key, text, kind]]).to_string();
        assert_eq!(visitor.post(side, "/setmany", body).await.status, 200);
        let read = visitor.value(side.other(), key).await;
        assert_eq!(read, states[0].get(*key).cloned(), "{key} of {side:?}");
    }
    assert_eq!(visitor.value(Side::Actix, "never").await, None::<Value>);
}
