//! Replies that are cut at each byte, or dropped.

use session_tests::{ChaosProxy, Disruption, rounds};

use super::*;

/// No reply to a write, or to a read of a small record, has as many bytes.
const LONGEST: usize = 160;

async fn proxied() -> (Memcached, ChaosProxy, MemcachedStore) {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open(&format!("127.0.0.1:{}", proxy.port()));
    (node, proxy, store)
}

/// Whether the fault was applied to a reply. If not, the reply was shorter.
fn applied(proxy: &ChaosProxy) -> bool {
    let applied = proxy.disruption() == Disruption::None;
    proxy.set(Disruption::None);
    applied
}

async fn other_record_is_right(store: &MemcachedStore, other: &StoreKey) {
    let own = other.as_str().as_bytes();
    assert_eq!(bytes(store, other).await.unwrap(), own);
}

/// A read is sent once more, so a single cut reply is no error.
#[tokio::test]
async fn a_read_whose_reply_is_cut_at_any_byte_is_right() {
    let (_node, proxy, store) = proxied().await;
    let (key, other) = (key(), key());
    stored(store.insert(&key, &record(b"record")).await);
    stored(
        store
            .insert(&other, &record(other.as_str().as_bytes()))
            .await,
    );
    let mut cuts = 0;
    for length in 0..LONGEST {
        proxy.set(Disruption::CutReply(length));
        assert_eq!(bytes(&store, &key).await.unwrap(), "record");
        cuts += usize::from(applied(&proxy));
        other_record_is_right(&store, &other).await;
    }
    assert_eq!(cuts, LONGEST);
}

/// The node carried out the write but its answer is lost: the call is an error, the write is sent
/// once, and the next call gets its own answer.
#[tokio::test]
async fn a_write_whose_reply_is_cut_at_any_byte_is_an_error_or_what_the_node_said() {
    let (_node, proxy, store) = proxied().await;
    let other = key();
    stored(
        store
            .insert(&other, &record(other.as_str().as_bytes()))
            .await,
    );
    let mut errors = [0; 3];
    for length in 0..24 {
        for (call, errors) in errors.iter_mut().enumerate() {
            let key = key();
            let revision = stored(store.insert(&key, &record(b"old")).await);
            let fresh = super::key();
            proxy.set(Disruption::CutReply(length));
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
            applied(&proxy);
            match done {
                Ok(done) => assert!(done, "call {call} was refused, cut at {length}"),
                Err(error) => {
                    assert!(matches!(error, Error::Backend { .. }));
                    *errors += 1;
                }
            }
            let now = bytes(&store, if call == 0 { &fresh } else { &key }).await;
            match call {
                0 | 1 => assert_eq!(now.unwrap(), "new"),
                _ => assert_eq!(now, None),
            }
            other_record_is_right(&store, &other).await;
        }
    }
    // The lengths of "HD c12 O0" and "HD O0" with their line ends, roughly.
    assert!(
        errors[0] >= 10 && errors[1] >= 10 && errors[2] >= 7,
        "{errors:?}"
    );
}

#[tokio::test]
async fn an_update_whose_reply_is_dropped_is_an_error_and_is_not_sent_again() {
    let (node, proxy, store) = proxied().await;
    let unanswered = open_with_the_default(&format!("127.0.0.1:{}", proxy.port()));
    let key = key();
    let mut revision = stored(store.insert(&key, &record(b"0")).await);
    for round in 0..rounds() {
        let before = stat(&node, "cas_hits") + stat(&node, "cas_badval");
        // So that it has a connection, and the reply is the update's.
        recovered(&unanswered, &key).await;
        proxy.set(Disruption::DropReply);
        let answer = unanswered
            .update(&key, &record(&round.to_be_bytes()), &revision)
            .await;
        fails(&answer);
        assert_eq!(
            stat(&node, "cas_hits") + stat(&node, "cas_badval"),
            before + 1
        );
        let loaded = store.load(&key).await.unwrap().unwrap();
        assert_eq!(loaded.bytes, round.to_be_bytes()[..]);
        revision = loaded.revision;
    }
}
