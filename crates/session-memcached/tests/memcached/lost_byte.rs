use session_tests::{ChaosProxy, Fault};

use super::*;

/// What the reply to a load of this payload has at most: `VA` and its flags, the payload, and what stands behind it.
const LONGEST: usize = 80;
const SECOND: Duration = Duration::from_secs(1);

async fn damaged() -> (Memcached, ChaosProxy, MemcachedStore) {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open(&format!("127.0.0.1:{}", proxy.port()));
    (node, proxy, store)
}

/// A digit of the CAS number or of the time left cannot be missed, and does no harm: the one is compared by the node, and
/// the other is not looked at.
#[tokio::test]
async fn a_read_whose_reply_lacks_a_byte_is_right_or_an_error() {
    let (_node, proxy, store) = damaged().await;
    let (key, bystander) = (key(), key());
    stored(store.insert(&key, &record(b"payload")).await);
    stored(store.insert(&bystander, &record(b"bystander")).await);
    let (mut lost, mut errors, mut replaced) = (0, 0, 0);
    for place in 0..LONGEST {
        let (begin, before) = (Instant::now(), proxy.connections());
        proxy.set(Fault::LoseByte(place));
        match store.load(&key).await {
            Ok(loaded) => {
                let loaded = loaded.expect("the record lives");
                assert_eq!(loaded.payload, b"payload", "byte {place}");
                lost += usize::from(proxy.fault() == Fault::None);
                proxy.set(Fault::None);
                // Whatever was read with it, the next change is made.
                stored(
                    store
                        .update(&key, &record(b"payload"), &loaded.revision)
                        .await,
                );
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
            payload(&store, &bystander).await.unwrap(),
            b"bystander",
            "byte {place}"
        );
        assert_eq!(
            payload(&store, &key).await.unwrap(),
            b"payload",
            "byte {place}"
        );
        replaced += proxy.connections() - before;
    }
    assert!(lost > 50, "{lost} bytes were lost");
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
                0 => store
                    .insert(&fresh, &record(b"new"))
                    .await
                    .map(|a| a.is_stored()),
                1 => store
                    .update(&key, &record(b"new"), &revision)
                    .await
                    .map(|a| a.is_stored()),
                _ => store.delete(&key).await.map(|()| true),
            };
            match done {
                Ok(done) => assert!(done, "call {call} was refused, byte {place}"),
                Err(error) => {
                    assert!(matches!(error, Error::Backend { .. }));
                    *errors += 1;
                }
            }
            proxy.set(Fault::None);
            assert_eq!(payload(&store, &bystander).await.unwrap(), b"bystander");
            let now = store
                .load(if call == 0 { &fresh } else { &key })
                .await
                .unwrap();
            match call {
                0 | 1 => {
                    let now = now.unwrap();
                    assert_eq!(now.payload, b"new", "byte {place}");
                    // Whichever CAS number was received, the record can be changed.
                    let key = if call == 0 { &fresh } else { &key };
                    stored(store.update(key, &record(b"newer"), &now.revision).await);
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
