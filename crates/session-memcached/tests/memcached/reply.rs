use std::{
    io::{Read, Write as _},
    net::TcpStream,
};

use session_core::Touch;
use session_tests::{ChaosProxy, Fault, rounds};

use super::*;

/// More than any reply to a write, or to a read of a small record, has.
const LONGEST: usize = 160;

async fn damaged() -> (Memcached, ChaosProxy, MemcachedStore) {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open(&format!("127.0.0.1:{}", proxy.port()));
    (node, proxy, store)
}

/// Whether the fault met a reply; if not, the reply was shorter.
fn happened(proxy: &ChaosProxy) -> bool {
    let happened = proxy.fault() == Fault::None;
    proxy.set(Fault::None);
    happened
}

async fn bystanders_are_right(store: &MemcachedStore, bystander: &StoreKey) {
    let own = bystander.as_str().as_bytes();
    assert_eq!(payload(store, bystander).await.unwrap(), own);
}

/// A read is asked once more, so one cut reply is not even an error.
#[tokio::test]
async fn a_read_whose_reply_is_cut_at_any_byte_is_right() {
    let (_node, proxy, store) = damaged().await;
    let (key, bystander) = (key(), key());
    stored(store.insert(&key, &record(b"payload")).await);
    stored(
        store
            .insert(&bystander, &record(bystander.as_str().as_bytes()))
            .await,
    );
    let mut cuts = 0;
    for length in 0..LONGEST {
        proxy.set(Fault::CutReply(length));
        assert_eq!(payload(&store, &key).await.unwrap(), b"payload");
        cuts += usize::from(happened(&proxy));
        bystanders_are_right(&store, &bystander).await;
    }
    assert_eq!(cuts, LONGEST);
}

/// The node did the work and its answer is lost: an error, sent once, and the next call has its own answer.
#[tokio::test]
async fn a_write_whose_reply_is_cut_at_any_byte_is_an_error_or_what_the_node_said() {
    let (_node, proxy, store) = damaged().await;
    let bystander = key();
    stored(
        store
            .insert(&bystander, &record(bystander.as_str().as_bytes()))
            .await,
    );
    let mut errors = [0; 4];
    for length in 0..24 {
        for (call, errors) in errors.iter_mut().enumerate() {
            let key = key();
            let revision = stored(store.insert(&key, &record(b"old")).await);
            let fresh = super::key();
            proxy.set(Fault::CutReply(length));
            let done = match call {
                0 => store
                    .insert(&fresh, &record(b"new"))
                    .await
                    .map(|a| a.is_stored()),
                1 => store
                    .update(&key, &record(b"new"), &revision)
                    .await
                    .map(|a| a.is_stored()),
                2 => store.delete(&key).await.map(|()| true),
                // Its first command is a read, which is asked again.
                _ => store
                    .touch(&key, SystemTime::now() + HOUR)
                    .await
                    .map(|answer| answer == Touch::Moved),
            };
            happened(&proxy);
            match done {
                Ok(done) => assert!(done, "call {call} was refused, cut at {length}"),
                Err(error) => {
                    assert!(matches!(error, Error::Backend { .. }));
                    *errors += 1;
                }
            }
            let now = payload(&store, if call == 0 { &fresh } else { &key }).await;
            match call {
                0 | 1 => assert_eq!(now.unwrap(), b"new"),
                2 => assert_eq!(now, None),
                _ => assert_eq!(now.unwrap(), b"old"),
            }
            bystanders_are_right(&store, &bystander).await;
        }
    }
    // "HD c12 O0" and "HD O0", each with its line end; a touch's read survives.
    assert!(
        errors[0] >= 10 && errors[1] >= 10 && errors[2] >= 7,
        "{errors:?}"
    );
    assert_eq!(errors[3], 0);
}

#[tokio::test]
async fn an_update_whose_reply_is_dropped_is_an_error_and_is_not_sent_again() {
    let (node, proxy, store) = damaged().await;
    let key = key();
    let mut revision = stored(store.insert(&key, &record(b"0")).await);
    for round in 0..rounds() {
        let before = stat(&node, "cas_hits") + stat(&node, "cas_badval");
        proxy.set(Fault::DropReply);
        let answer = store
            .update(&key, &record(&round.to_be_bytes()), &revision)
            .await;
        fails(&answer, Instant::now(), Duration::from_secs(1));
        assert_eq!(
            stat(&node, "cas_hits") + stat(&node, "cas_badval"),
            before + 1
        );
        let loaded = store.load(&key).await.unwrap().unwrap();
        assert_eq!(loaded.payload, round.to_be_bytes());
        revision = loaded.revision;
    }
}

/// Should an answer ever meet the wrong question, in the driver, a proxy or the node, nobody gets another's session.
#[tokio::test]
async fn an_item_that_belongs_to_another_key_is_an_error() {
    let (node, _proxy, store) = damaged().await;
    let (key, other) = (key(), key());
    stored(store.insert(&key, &record(b"mine")).await);
    let mut raw = TcpStream::connect(("127.0.0.1", node.port())).unwrap();
    let mut ask = |question: Vec<u8>| {
        raw.write_all(&question).unwrap();
        let mut reply = vec![0; 4096];
        let length = raw.read(&mut reply).unwrap();
        reply.truncate(length);
        reply
    };
    let reply = ask(format!("mg {} v\r\n", key.as_str()).into_bytes());
    let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let value = &reply[start..reply.len() - 2];
    let command = format!("ms {} {} T0\r\n", other.as_str(), value.len());
    let copied = ask([command.as_bytes(), value, b"\r\n"].concat());
    assert_eq!(copied, b"HD\r\n");
    fails(
        &store.load(&other).await,
        Instant::now(),
        Duration::from_secs(1),
    );
    assert_eq!(payload(&store, &key).await.unwrap(), b"mine");
}
