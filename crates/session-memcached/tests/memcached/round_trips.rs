use session_core::{Touch, Write};

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
    for store in [open(&node.addr()), open(&node.addr()).with_flask_layout()] {
        let key = key();
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
}

#[tokio::test]
async fn a_touch_is_two_round_trips_and_one_in_flasks_layout() {
    let node = Memcached::start(&[]).await;
    for (store, expected) in [
        (open(&node.addr()), 2),
        (open(&node.addr()).with_flask_layout(), 1),
    ] {
        let key = key();
        let revision = stored(store.insert(&key, &record(b"one")).await);
        let later = SystemTime::now() + 2 * HOUR;
        let (sent, answer) = commands(&node, store.touch(&key, later)).await;
        assert_eq!((sent, answer.unwrap()), (expected, Touch::Moved));
        // The revision is still good, at the price of one round trip.
        let changed = record(b"two");
        let (sent, answer) = commands(&node, store.update(&key, &changed, &revision)).await;
        assert_eq!((sent, answer.unwrap().is_stored()), (1, true));
    }
}

/// Another process has touched or changed the record, or loaded it.
#[tokio::test]
async fn an_update_at_what_this_process_has_not_seen_reads_first() {
    let node = Memcached::start(&[]).await;
    let (store, other) = (open(&node.addr()), open(&node.addr()));
    let key = key();
    let revision = stored(store.insert(&key, &record(b"one")).await);
    let changed = record(b"two");
    let (sent, answer) = commands(&node, other.update(&key, &changed, &revision)).await;
    assert_eq!(sent, 2);
    let fresh = stored(answer);
    let (sent, answer) = commands(&node, store.update(&key, &changed, &revision)).await;
    assert_eq!((sent, answer.unwrap()), (2, Write::Refused));
    let moved = other.touch(&key, SystemTime::now() + HOUR).await;
    assert_eq!(moved.unwrap(), Touch::Moved);
    store.load(&key).await.unwrap();
    let (sent, answer) = commands(&node, store.update(&key, &changed, &fresh)).await;
    assert_eq!((sent, answer.unwrap().is_stored()), (1, true));
}

#[tokio::test]
async fn a_read_changes_nothing() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    let key = key();
    stored(store.insert(&key, &record(b"payload")).await);
    let written = || stat(&node, "cmd_set") + stat(&node, "cmd_touch");
    let before = written();
    for _ in 0..10 {
        assert!(payload(&store, &key).await.is_some());
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
                assert_eq!(
                    payload(&store, &key).await.unwrap(),
                    key.as_str().as_bytes()
                );
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    // The second is the one that asked for the number.
    assert!(stat(&node, "total_connections") - before <= 2);
}
