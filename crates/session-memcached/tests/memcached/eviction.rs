//! Nodes that are full, with and without eviction.

use session_core::{Error, Write};

use super::*;

const SESSIONS: usize = 500;

/// A session may be evicted. A load returns the right record or none, and an insert replaces none
/// that is still there.
#[tokio::test]
async fn an_evicted_session_is_absent_and_no_other_is_returned() {
    let node = Memcached::start(&["-m", "2"]).await;
    let store = open(&node.addr());
    let keys: Vec<_> = (0..SESSIONS).map(|_| key()).collect();
    for key in &keys {
        stored(store.insert(key, &record(key.as_str().as_bytes())).await);
    }
    // Records of the same size as the sessions, since memcached manages memory by size class.
    let filler = record(&vec![b'x'; keys[0].as_str().len()]);
    while stat(&node, "evictions") < 200 {
        for _ in 0..500 {
            stored(store.insert(&key(), &filler).await);
        }
    }
    let (mut evicted, mut kept) = (0, 0);
    for key in &keys {
        match bytes(&store, key).await {
            None => evicted += 1,
            Some(bytes) => {
                assert_eq!(bytes, key.as_str().as_bytes());
                let answer = store.insert(key, &record(b"another")).await.unwrap();
                assert_eq!(answer, Write::Refused);
                kept += 1;
            }
        }
    }
    assert!(evicted > 0, "none of {kept} records was evicted");
}

/// A full node that was started with `-M` refuses writes instead. They are errors, and logging out
/// works.
#[tokio::test]
async fn a_full_node_without_eviction_fails_writes_and_serves_reads_and_deletes() {
    let node = Memcached::start(&["-M", "-m", "2"]).await;
    let store = open(&node.addr());
    let (mut kept, mut revisions) = (Vec::new(), Vec::new());
    let refusal = loop {
        let key = key();
        match store.insert(&key, &record(key.as_str().as_bytes())).await {
            Ok(answer) => revisions.push(stored(Ok(answer))),
            Err(error) => break error,
        }
        kept.push(key);
    };
    let Error::Backend { source, .. } = &refusal else {
        panic!("{refusal:?}");
    };
    assert!(
        format!("{source:?}").contains("out of memory"),
        "{source:?}"
    );
    for key in &kept {
        assert_eq!(bytes(&store, key).await.unwrap(), key.as_str().as_bytes());
    }
    let ended = &kept[0];
    store.delete(ended).await.unwrap();
    assert_eq!(bytes(&store, ended).await, None);
    stored(
        store
            .insert(ended, &record(ended.as_str().as_bytes()))
            .await,
    );

    // Memcached deletes a record that it has no memory to replace. So after an error the record is
    // absent or unchanged.
    for (key, revision) in kept.iter().zip(&revisions).skip(1).take(20) {
        let changed = store.update(key, &record(&[b'x'; 2000]), revision).await;
        let now = bytes(&store, key).await;
        match changed {
            Ok(answer) => assert!(answer.is_stored() && now.unwrap() == [b'x'; 2000][..]),
            Err(_) => assert!(now.is_none_or(|bytes| bytes == key.as_str().as_bytes())),
        }
    }
}
