use session_core::{Touch, Write};

use super::*;

/// `{"_permanent": True}` as Flask-Session's `MessagePack` has it.
const PAYLOAD: &[u8] = b"\x81\xaa_permanent\xc3";

fn raw(node: &Memcached, key: &StoreKey) -> String {
    node.command(&format!("get {}", key.as_str()))
}

/// Puts an item as Flask's client does: flags 0, an absolute end.
fn put_as_flask(node: &Memcached, key: &StoreKey, payload: &str) {
    let end = SystemTime::now() + HOUR;
    let end = end
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (key, size) = (key.as_str(), payload.len());
    let reply = node.command(&format!("set {key} 0 {end} {size}\r\n{payload}"));
    assert_eq!(reply, "STORED\r\n");
}

#[tokio::test]
async fn what_flask_wrote_is_read_changed_touched_and_ended() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    for store in [store.clone().with_flask_layout(), store] {
        flasks_item_stays_flasks(&node, &store).await;
    }
}

async fn flasks_item_stays_flasks(node: &Memcached, store: &MemcachedStore) {
    let key = key();
    put_as_flask(node, &key, "{\"a\": 1}");
    let taken = store.insert(&key, &record(b"another")).await;
    assert_eq!(taken.unwrap(), Write::Refused);
    let loaded = store.load(&key).await.unwrap().unwrap();
    assert_eq!(loaded.payload, b"{\"a\": 1}");
    let left = loaded.expires_at.duration_since(SystemTime::now()).unwrap();
    assert!((3596..=3602).contains(&left.as_secs()), "{left:?}");

    let later = SystemTime::now() + 2 * HOUR;
    assert_eq!(store.touch(&key, later).await.unwrap(), Touch::Moved);
    let touched = store.load(&key).await.unwrap().unwrap();
    assert_eq!(touched.revision, loaded.revision);
    assert!(touched.expires_at > SystemTime::now() + HOUR + HOUR / 2);

    stored(
        store
            .update(&key, &record(b"{\"a\": 2}"), &loaded.revision)
            .await,
    );
    assert_eq!(
        raw(node, &key),
        format!("VALUE {} 0 8\r\n{{\"a\": 2}}\r\nEND\r\n", key.as_str())
    );
    let stale = store
        .update(&key, &record(b"{\"a\": 3}"), &loaded.revision)
        .await;
    assert_eq!(stale.unwrap(), Write::Refused);

    store.delete(&key).await.unwrap();
    assert_eq!(raw(node, &key), "END\r\n");
    assert_eq!(store.touch(&key, later).await.unwrap(), Touch::Refused);
    let gone = store.update(&key, &record(b"{}"), &touched.revision).await;
    assert_eq!(gone.unwrap(), Write::Refused);
}

#[tokio::test]
async fn what_is_written_for_flask_is_the_payload_alone_with_flags_0() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr()).with_flask_layout();
    let key = key();
    stored(store.insert(&key, &record(PAYLOAD)).await);
    let refused = store.insert(&key, &record(b"another")).await;
    assert_eq!(refused.unwrap(), Write::Refused);
    assert!(raw(&node, &key).starts_with(&format!(
        "VALUE {} 0 {}\r\n",
        key.as_str(),
        PAYLOAD.len()
    )));
    assert_eq!(payload(&store, &key).await.unwrap(), PAYLOAD);
}

/// Flask stores a lifetime of less than a second for ever.
#[tokio::test]
async fn an_item_without_an_end_is_a_record_with_a_distant_one() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr()).with_flask_layout();
    let key = key();
    node.command(&format!("set {} 0 0 2\r\n{{}}", key.as_str()));
    let loaded = store.load(&key).await.unwrap().unwrap();
    assert!(loaded.expires_at > SystemTime::now() + 24 * HOUR);
}

/// Without these numbers every update would succeed.
#[tokio::test]
async fn a_node_without_compare_and_swap_is_an_error() {
    let node = Memcached::start(&["-C"]).await;
    for store in [open(&node.addr()), open(&node.addr()).with_flask_layout()] {
        let key = key();
        for answer in [
            store.insert(&key, &record(b"payload")).await.map(drop),
            store.load(&key).await.map(drop),
        ] {
            let Err(Error::Backend { source, .. }) = answer else {
                panic!("{answer:?}");
            };
            assert!(source.to_string().contains("-C"), "{source}");
        }
    }
}
