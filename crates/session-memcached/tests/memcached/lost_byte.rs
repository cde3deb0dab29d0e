use session_tests::{ChaosProxy, Fault};

use super::*;

/// What the reply to a load of these bytes has at most: `VA` and its flags, the bytes, and two line ends.
const LONGEST: usize = 40;
const SECOND: Duration = Duration::from_secs(1);

async fn damaged() -> (Memcached, ChaosProxy, MemcachedStore) {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open(&format!("127.0.0.1:{}", proxy.port()));
    (node, proxy, store)
}

/// Changes the record, at what a load gives if what was received is not its revision.
async fn changes(store: &MemcachedStore, key: &StoreKey, received: &Revision) {
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

/// A digit of the CAS number cannot be missed, and does no harm: the node compares it, and no item has the number that is
/// left of a newer one.
#[tokio::test]
async fn a_read_whose_reply_lacks_a_byte_is_right_or_an_error() {
    let (_node, proxy, store) = damaged().await;
    let (key, bystander) = (key(), key());
    stored(store.insert(&key, &record(b"record")).await);
    stored(store.insert(&bystander, &record(b"bystander")).await);
    let (mut lost, mut errors, mut replaced) = (0, 0, 0);
    for place in 0..LONGEST {
        let (begin, before) = (Instant::now(), proxy.connections());
        proxy.set(Fault::LoseByte(place));
        match store.load(&key).await {
            Ok(loaded) => {
                let loaded = loaded.expect("the record lives");
                assert_eq!(loaded.bytes, "record", "byte {place}");
                lost += usize::from(proxy.fault() == Fault::None);
                proxy.set(Fault::None);
                changes(&store, &key, &loaded.revision).await;
            }
            Err(error) => {
                assert!(matches!(error, Error::Backend { .. }), "byte {place}");
                lost += 1;
                errors += 1;
            }
        }
        assert!(
            begin.elapsed() < SECOND,
            "byte {place}: {:?}",
            begin.elapsed()
        );
        assert_eq!(
            bytes(&store, &bystander).await.unwrap(),
            "bystander",
            "byte {place}"
        );
        assert_eq!(bytes(&store, &key).await.unwrap(), "record", "byte {place}");
        replaced += proxy.connections() - before;
    }
    assert!(lost > 20, "{lost} bytes were lost");
    assert!(
        errors > 0 && replaced >= errors,
        "{errors} errors, {replaced} connections"
    );
}

#[tokio::test]
async fn a_write_whose_reply_lacks_a_byte_is_an_error_or_what_the_node_said() {
    let (_node, proxy, store) = damaged().await;
    let bystander = key();
    stored(store.insert(&bystander, &record(b"bystander")).await);
    let mut errors = [0; 3];
    for place in 0..12 {
        for (call, errors) in errors.iter_mut().enumerate() {
            let key = key();
            let revision = stored(store.insert(&key, &record(b"old")).await);
            let fresh = super::key();
            proxy.set(Fault::LoseByte(place));
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
            proxy.set(Fault::None);
            assert_eq!(bytes(&store, &bystander).await.unwrap(), "bystander");
            let now = store
                .load(if call == 0 { &fresh } else { &key })
                .await
                .unwrap();
            match call {
                0 | 1 => {
                    let now = now.unwrap();
                    assert_eq!(now.bytes, "new", "byte {place}");
                    let key = if call == 0 { &fresh } else { &key };
                    changes(&store, key, &received.unwrap_or(now.revision)).await;
                }
                _ => assert!(now.is_none(), "byte {place}"),
            }
        }
    }
    // "HD c12 O0" and "HD O0" and their line ends, less the digits of the CAS number.
    assert!(
        errors[0] >= 7 && errors[1] >= 7 && errors[2] >= 6,
        "{errors:?}"
    );
}
