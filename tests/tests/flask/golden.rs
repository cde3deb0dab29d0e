//! What Flask-Session was seen to write, of types that only Python has among them.

use serde_json::{Value, json};

use crate::{
    neighbours::{Neighbours, Side, unhex},
    store::Store,
};

/// All golden values as one session in `MessagePack` and as one in JSON; `in_both` leaves out what
/// either cannot tell.
fn sessions(in_both: bool) -> [Vec<u8>; 2] {
    let golden = include_str!("../../../crates/session-core/tests/golden_payload.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let (mut count, mut entries, mut members) = (0_u16, Vec::new(), Vec::new());
    for vector in golden["values"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let (msgpack, json) = (vector["msgpack"].as_str(), vector["json"].as_str());
        if let Some(value) = msgpack.filter(|_| json.is_some() || !in_both) {
            entries.push(0xd9);
            entries.push(u8::try_from(name.len()).unwrap());
            entries.extend([name.as_bytes(), &unhex(value)].concat());
            count += 1;
        }
        if let Some(value) = json.filter(|_| msgpack.is_some() || !in_both) {
            members.push(format!("{}:{value}", json!(name)));
        }
    }
    assert!(count > 60);
    let mut map = vec![0xde];
    map.extend(count.to_be_bytes());
    map.extend(entries);
    [map, format!("{{{}}}", members.join(",")).into_bytes()]
}

pub(crate) async fn every_value_that_flask_writes_is_read_and_kept(both: &Neighbours) {
    let own = usize::from(both.writes_json);
    let session = &sessions(false)[own];
    is_read_alike(both, session).await;
    is_kept_alike(both, session).await;
    // Each reads the other format too, and writes what it read in its own.
    if both.store != Store::Cachelib {
        is_kept_alike(both, &sessions(true)[1 - own]).await;
    }
}

async fn is_read_alike(both: &Neighbours, session: &[u8]) {
    let mut visitor = both.visitor();
    visitor.json(Side::Actix, "/set?k=a&v=x").await;
    both.put(visitor.sid(), 1000, session).await;
    let ours = visitor.state(Side::Actix).await;
    assert!(ours["session"].as_object().unwrap().len() > 60);
    assert_eq!(both.record(visitor.sid()).await.unwrap().payload, session);
    let theirs = visitor.state(Side::Flask).await;
    assert_eq!(ours, theirs);
}

/// Changed beside one new value: the same record, whoever adds that.
async fn is_kept_alike(both: &Neighbours, session: &[u8]) {
    let mut records = Vec::new();
    for side in Side::BOTH {
        let mut visitor = both.visitor();
        visitor.json(side, "/set?k=a&v=x").await;
        both.put(visitor.sid(), 1000, session).await;
        visitor.json(side, "/set?k=z&v=added").await;
        records.push(both.record(visitor.sid()).await.unwrap().payload);
    }
    assert!(
        records[0] == records[1],
        "{}\n{}",
        String::from_utf8_lossy(&records[0]),
        String::from_utf8_lossy(&records[1])
    );
}
