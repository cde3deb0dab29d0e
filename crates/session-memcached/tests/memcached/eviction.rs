use session_core::{Error, Write};

use super::*;

const SESSIONS: usize = 500;

/// A session may be gone early; what is still there is the right one, and is not replaced by an insert.
#[tokio::test]
async fn an_evicted_session_is_absent_and_none_is_mixed_up() {
    let node = Memcached::start(&["-m", "2"]).await;
    let store = open(&node.addr());
    let keys: Vec<_> = (0..SESSIONS).map(|_| key()).collect();
    for key in &keys {
        stored(store.insert(key, &record(key.as_str().as_bytes())).await);
    }
    // Of the sessions' own size: each size has its own share of the memory.
    let filler = record(&vec![b'x'; keys[0].as_str().len()]);
    while stat(&node, "evictions") < 200 {
        for _ in 0..500 {
            stored(store.insert(&key(), &filler).await);
        }
    }
    let (mut gone, mut kept) = (0, 0);
    for key in &keys {
        match bytes(&store, key).await {
            None => gone += 1,
            Some(bytes) => {
                assert_eq!(bytes, key.as_str().as_bytes());
                let answer = store.insert(key, &record(b"another")).await.unwrap();
                assert_eq!(answer, Write::Refused);
                kept += 1;
            }
        }
    }
    assert!(gone > 0, "nothing was evicted of {kept}");
}

/// Started with `-M`, a full node fails writes instead: an error, never a silent loss, and logging out works.
#[tokio::test]
async fn a_full_node_that_does_not_evict_fails_writes_and_serves_the_rest() {
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

    // Memcached drops what it has no memory to replace: gone or as it was, and nobody is told that it was changed.
    for (key, revision) in kept.iter().zip(&revisions).skip(1).take(20) {
        let changed = store.update(key, &record(&[b'x'; 2000]), revision).await;
        let now = bytes(&store, key).await;
        match changed {
            Ok(answer) => assert!(answer.is_stored() && now.unwrap() == [b'x'; 2000][..]),
            Err(_) => assert!(now.is_none_or(|bytes| bytes == key.as_str().as_bytes())),
        }
    }
}
