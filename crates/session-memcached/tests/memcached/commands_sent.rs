//! How many commands each method sends. Each command is a round trip.

use session_core::Write;

use super::*;

/// How many commands `call` sends, and its result.
async fn commands<T>(node: &Memcached, call: impl Future<Output = T>) -> (u64, T) {
    let count = || {
        [
            "cmd_get",
            "cmd_set",
            "cmd_touch",
            "delete_hits",
            "delete_misses",
        ]
        .map(|name| stat(node, name))
        .iter()
        .sum::<u64>()
    };
    let before = count();
    let result = call.await;
    (count() - before, result)
}

#[tokio::test]
async fn a_read_and_a_write_are_one_command_each() {
    let node = Memcached::start(&[]).await;
    let (store, key) = (open(&node.addr()), key());
    assert_eq!(commands(&node, store.load(&key)).await.0, 1);
    assert_eq!(
        commands(&node, store.insert(&key, &record(b"one"))).await.0,
        1
    );
    let (commands_sent, loaded) = commands(&node, store.load(&key)).await;
    assert_eq!(commands_sent, 1);
    let revision = loaded.unwrap().unwrap().revision;
    let changed = record(b"two");
    let (commands_sent, answer) = commands(&node, store.update(&key, &changed, &revision)).await;
    assert_eq!(commands_sent, 1);
    // The revision that an update returns can be used like a loaded one.
    let revision = stored(answer);
    let (commands_sent, answer) = commands(&node, store.update(&key, &changed, &revision)).await;
    assert!(answer.unwrap().is_stored());
    assert_eq!(commands_sent, 1);
    assert_eq!(commands(&node, store.delete(&key)).await.0, 1);
}

/// Another process inserted the record, or changed it.
#[tokio::test]
async fn an_update_with_the_revision_of_another_process_is_one_command() {
    let node = Memcached::start(&[]).await;
    let (store, other) = (open(&node.addr()), open(&node.addr()));
    let key = key();
    let revision = stored(store.insert(&key, &record(b"one")).await);
    let changed = record(b"two");
    let (commands_sent, answer) = commands(&node, other.update(&key, &changed, &revision)).await;
    assert_eq!(commands_sent, 1);
    stored(answer);
    let (commands_sent, answer) = commands(&node, store.update(&key, &changed, &revision)).await;
    assert_eq!((commands_sent, answer.unwrap()), (1, Write::Refused));
}

#[tokio::test]
async fn a_read_writes_nothing() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    let key = key();
    stored(store.insert(&key, &record(b"record")).await);
    let written = || stat(&node, "cmd_set") + stat(&node, "cmd_touch");
    let before = written();
    for _ in 0..10 {
        assert!(bytes(&store, &key).await.is_some());
    }
    assert_eq!(written(), before);
}

/// Reads that arrive together are sent together. Each gets its own answer.
#[tokio::test]
async fn many_reads_at_once_share_one_connection() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    let keys: Vec<_> = (0..300).map(|_| key()).collect();
    for key in &keys {
        stored(store.insert(key, &record(key.as_str().as_bytes())).await);
    }
    let before = stat(&node, "total_connections");
    let tasks: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let store = store.clone();
            tokio::spawn(async move {
                assert_eq!(bytes(&store, &key).await.unwrap(), key.as_str().as_bytes());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    // The second connection is the one that asked for the number.
    assert!(stat(&node, "total_connections") - before <= 2);
}
