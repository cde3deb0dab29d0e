use session_core::Write;

use super::*;

/// The commands that `call` sends; each is a round trip.
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
    let answer = call.await;
    (count() - before, answer)
}

#[tokio::test]
async fn a_read_is_one_round_trip_and_so_is_a_write() {
    let node = Memcached::start(&[]).await;
    let (store, key) = (open(&node.addr()), key());
    assert_eq!(commands(&node, store.load(&key)).await.0, 1);
    assert_eq!(
        commands(&node, store.insert(&key, &record(b"one"))).await.0,
        1
    );
    let (sent, loaded) = commands(&node, store.load(&key)).await;
    assert_eq!(sent, 1);
    let revision = loaded.unwrap().unwrap().revision;
    let changed = record(b"two");
    let (sent, answer) = commands(&node, store.update(&key, &changed, &revision)).await;
    assert_eq!(sent, 1);
    // What update answers is as good as what load does.
    let revision = stored(answer);
    let (sent, answer) = commands(&node, store.update(&key, &changed, &revision)).await;
    assert!(answer.unwrap().is_stored());
    assert_eq!(sent, 1);
    assert_eq!(commands(&node, store.delete(&key)).await.0, 1);
}

/// Another process loaded the record, or changed it.
#[tokio::test]
async fn an_update_at_what_another_process_saw_is_one_round_trip_too() {
    let node = Memcached::start(&[]).await;
    let (store, other) = (open(&node.addr()), open(&node.addr()));
    let key = key();
    let revision = stored(store.insert(&key, &record(b"one")).await);
    let changed = record(b"two");
    let (sent, answer) = commands(&node, other.update(&key, &changed, &revision)).await;
    assert_eq!(sent, 1);
    stored(answer);
    let (sent, answer) = commands(&node, store.update(&key, &changed, &revision)).await;
    assert_eq!((sent, answer.unwrap()), (1, Write::Refused));
}

#[tokio::test]
async fn a_read_changes_nothing() {
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

/// Reads that arrive together share the wire; each gets its own answer.
#[tokio::test]
async fn many_reads_at_once_take_one_connection() {
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
    // The second is the one that asked for the number.
    assert!(stat(&node, "total_connections") - before <= 2);
}
