//! Items that a Flask application also reads and writes.

use session_core::Write;

use super::*;

/// `{"_permanent": True}` as Flask-Session writes it in `MessagePack`.
const MSGPACK: &[u8] = b"\x81\xaa_permanent\xc3";

fn raw(node: &Memcached, key: &StoreKey) -> String {
    node.command(&format!("get {}", key.as_str()))
}

/// Writes an item as Flask's client does: with flags 0, until `exptime`.
fn put_as_flask(node: &Memcached, key: &StoreKey, exptime: u64, value: &str) {
    let (key, size) = (key.as_str(), value.len());
    let reply = node.command(&format!("set {key} 0 {exptime} {size}\r\n{value}"));
    assert_eq!(reply, "STORED\r\n");
}

#[tokio::test]
async fn a_session_of_flask_is_read_changed_and_ended() {
    let node = Memcached::start(&[]).await;
    let (store, key) = (open(&node.addr()), key());
    let end = SystemTime::now() + HOUR;
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    put_as_flask(&node, &key, end.as_secs(), "{\"a\": 1}");
    let taken = store.insert(&key, &record(b"another")).await;
    assert_eq!(taken.unwrap(), Write::Refused);
    let loaded = store.load(&key).await.unwrap().unwrap();
    assert_eq!(loaded.bytes, "{\"a\": 1}");
    assert_eq!(loaded.expires_at, None);

    stored(
        store
            .update(&key, &record(b"{\"a\": 2}"), &loaded.revision)
            .await,
    );
    assert_eq!(
        raw(&node, &key),
        format!("VALUE {} 0 8\r\n{{\"a\": 2}}\r\nEND\r\n", key.as_str())
    );
    let stale = store
        .update(&key, &record(b"{\"a\": 3}"), &loaded.revision)
        .await;
    assert_eq!(stale.unwrap(), Write::Refused);

    let loaded = store.load(&key).await.unwrap().unwrap();
    put_as_flask(&node, &key, end.as_secs(), "{\"a\": 4}");
    let stale = store
        .update(&key, &record(b"{\"a\": 5}"), &loaded.revision)
        .await;
    assert_eq!(stale.unwrap(), Write::Refused);
    let loaded = store.load(&key).await.unwrap().unwrap();
    assert_eq!(loaded.bytes, "{\"a\": 4}");

    store.delete(&key).await.unwrap();
    assert_eq!(raw(&node, &key), "END\r\n");
    let refused = store.update(&key, &record(b"{}"), &loaded.revision).await;
    assert_eq!(refused.unwrap(), Write::Refused);
}

#[tokio::test]
async fn an_item_is_the_record_alone_with_flags_0() {
    let node = Memcached::start(&[]).await;
    let (store, key) = (open(&node.addr()), key());
    stored(store.insert(&key, &record(MSGPACK)).await);
    let refused = store.insert(&key, &record(b"another")).await;
    assert_eq!(refused.unwrap(), Write::Refused);
    assert!(raw(&node, &key).starts_with(&format!(
        "VALUE {} 0 {}\r\n",
        key.as_str(),
        MSGPACK.len()
    )));
    assert_eq!(bytes(&store, &key).await.unwrap(), MSGPACK);
}

/// Flask writes such an item for a lifetime of less than a second.
#[tokio::test]
async fn an_item_that_never_expires_is_a_record() {
    let node = Memcached::start(&[]).await;
    let (store, key) = (open(&node.addr()), key());
    put_as_flask(&node, &key, 0, "{}");
    let loaded = store.load(&key).await.unwrap().unwrap();
    stored(store.update(&key, &record(b"{}"), &loaded.revision).await);
    let reply = node.command(&format!("mg {} t", key.as_str()));
    assert_ne!(reply.trim(), "HD t-1");
}

/// Without CAS numbers every update would succeed.
#[tokio::test]
async fn a_node_without_compare_and_swap_is_an_error() {
    let node = Memcached::start(&["-C"]).await;
    let (store, key) = (open(&node.addr()), key());
    for answer in [
        store.insert(&key, &record(b"record")).await.map(drop),
        store.load(&key).await.map(drop),
    ] {
        let Err(Error::Backend { source, .. }) = answer else {
            panic!("{answer:?}");
        };
        assert!(source.to_string().contains("-C"), "{source}");
    }
    // Memcached would carry out an update with the number 0 without a condition.
    let update = store.update(&key, &record(b"x"), &Revision::from(0)).await;
    assert_eq!(update.unwrap(), Write::Refused);
}
