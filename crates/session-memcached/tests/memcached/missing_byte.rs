//! Replies from which one byte is missing.

use session_tests::{ChaosProxy, Disruption, assert_in_time};

use super::*;

/// The length of the longest reply to a load of these bytes: `VA` with its flags, the bytes, and
/// two line ends.
const LONGEST: usize = 40;
const SECOND: Duration = Duration::from_secs(1);

async fn proxied() -> (Memcached, ChaosProxy, MemcachedStore) {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open_with_the_default(&format!("127.0.0.1:{}", proxy.port()));
    (node, proxy, store)
}

/// Changes the record. If `received` is not its revision, uses the loaded one.
async fn change(store: &MemcachedStore, key: &StoreKey, received: &Revision) {
    let loaded = store.load(key).await.unwrap().unwrap();
    let same = record(&loaded.bytes);
    if !store
        .update(key, &same, received)
        .await
        .unwrap()
        .is_stored()
    {
        stored(store.update(key, &same, &loaded.revision).await);
    }
}

/// A digit missing from the CAS number goes unnoticed but does no harm: no item has the number that
/// is left, so the node refuses an update with it.
#[tokio::test]
async fn a_read_whose_reply_lacks_a_byte_is_right_or_an_error() {
    let (_node, proxy, store) = proxied().await;
    let (key, other) = (key(), key());
    stored(store.insert(&key, &record(b"record")).await);
    stored(store.insert(&other, &record(b"other")).await);
    let (mut removed, mut errors, mut replaced) = (0, 0, 0);
    for position in 0..LONGEST {
        let (begin, before) = (Instant::now(), proxy.connections());
        proxy.set(Disruption::DropByte(position));
        match store.load(&key).await {
            Ok(loaded) => {
                let loaded = loaded.expect("the record exists");
                assert_eq!(loaded.bytes, "record", "byte {position}");
                removed += usize::from(proxy.disruption() == Disruption::None);
                proxy.set(Disruption::None);
                change(&store, &key, &loaded.revision).await;
            }
            Err(error) => {
                assert!(matches!(error, Error::Backend { .. }), "byte {position}");
                removed += 1;
                errors += 1;
            }
        }
        assert_in_time!(
            begin.elapsed() < SECOND,
            "byte {position}: {:?}",
            begin.elapsed()
        );
        assert_eq!(
            bytes(&store, &other).await.unwrap(),
            "other",
            "byte {position}"
        );
        assert_eq!(
            bytes(&store, &key).await.unwrap(),
            "record",
            "byte {position}"
        );
        replaced += proxy.connections() - before;
    }
    assert!(removed > 20, "{removed} bytes were removed");
    assert!(
        errors > 0 && replaced >= errors,
        "{errors} errors, {replaced} connections"
    );
}

#[tokio::test]
async fn a_write_whose_reply_lacks_a_byte_is_an_error_or_what_the_node_said() {
    let (_node, proxy, store) = proxied().await;
    let other = key();
    stored(store.insert(&other, &record(b"other")).await);
    let mut errors = [0; 3];
    for position in 0..12 {
        for (call, errors) in errors.iter_mut().enumerate() {
            let key = key();
            let revision = stored(store.insert(&key, &record(b"old")).await);
            let fresh = super::key();
            proxy.set(Disruption::DropByte(position));
            let done = match call {
                0 => store.insert(&fresh, &record(b"new")).await.map(Some),
                1 => store
                    .update(&key, &record(b"new"), &revision)
                    .await
                    .map(Some),
                _ => store.delete(&key).await.map(|()| None),
            };
            let received = match done {
                Ok(done) => done.map(|answer| stored(Ok(answer))),
                Err(error) => {
                    assert!(matches!(error, Error::Backend { .. }));
                    *errors += 1;
                    None
                }
            };
            proxy.set(Disruption::None);
            assert_eq!(bytes(&store, &other).await.unwrap(), "other");
            let now = store
                .load(if call == 0 { &fresh } else { &key })
                .await
                .unwrap();
            match call {
                0 | 1 => {
                    let now = now.unwrap();
                    assert_eq!(now.bytes, "new", "byte {position}");
                    let key = if call == 0 { &fresh } else { &key };
                    change(&store, key, &received.unwrap_or(now.revision)).await;
                }
                _ => assert!(now.is_none(), "byte {position}"),
            }
        }
    }
    // The lengths of "HD c12 O0" and "HD O0" with their line ends, without the digits of the CAS
    // number.
    assert!(
        errors[0] >= 7 && errors[1] >= 7 && errors[2] >= 6,
        "{errors:?}"
    );
}
